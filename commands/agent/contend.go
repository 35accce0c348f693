package agent

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"resec/commands/elect"
	"resec/commands/lock"
	"resec/handlers"
	"resec/handlers/redis"
)

const (
	// askFor bounds the look at the others' Redis servers. One that is slower is no candidate.
	askFor = 300 * time.Millisecond
	// stagger keeps the ranks apart: a rank's turn is over (one call to Consul) well before the next one's begins.
	stagger = 250 * time.Millisecond
	// leaveIncumbent is how long a master that answers is left to take its lost lock again. Its agent needs two calls
	// (session, lock), each again after at most a second while Consul settles.
	leaveIncumbent = 3 * time.Second
	// leaveVanished is the same for a master that is not in the catalogue: its Consul agent was told to leave, and took its
	// node along. Measured: such an agent needs 3.2 s from there until it ends, and as long until it is back and has synced.
	leaveVanished = 10 * time.Second
	// barredFor is the pause before a member that may not lead looks again: what bars it ends without an event.
	barredFor = 500 * time.Millisecond
)

// turn is when this member may take the lock that it saw free in the view, while its Redis followed that master: it is
// parked when that is gone.
type turn struct {
	view lock.View
	of   string
	at   time.Time
}

func (t turn) stands(k known) bool {
	return !t.at.IsZero() && t.view.Same(k.view) && t.of == k.health.Status.Of
}

// vacancy is what an agent remembers of the time since nobody else held the lock.
type vacancy struct {
	since  time.Time // zero: somebody does
	silent time.Time // since when every look found no recorded run; zero: the last one did
}

// next is the vacancy as a view shows it. It goes on while we hold the lock ourselves: we may fail.
func (v vacancy) next(k known, now time.Time) vacancy {
	switch {
	case k.view.Index == 0:
	case !k.view.Free() && (k.session == nil || k.view.Session != k.session.ID):
		return vacancy{}
	case v.since.IsZero():
		v.since = now
	}
	return v
}

// looked is the vacancy after a look at all members, of whom some were in their recorded runs, or none.
func (v vacancy) looked(some bool, now time.Time) vacancy {
	switch {
	case some:
		v.silent = time.Time{}
	case v.silent.IsZero():
		v.silent = now
	}
	return v
}

// quiet is for how long no look has found a recorded run.
func (v vacancy) quiet(now time.Time) time.Duration {
	if v.silent.IsZero() {
		return 0
	}
	return now.Sub(v.silent)
}

// contend takes the lock when it is this member's turn; until then it returns when that will be.
func (a *Agent) contend(ctx context.Context, k known) (again time.Duration, err error) {
	forced := k.view.Request != nil // and it is for us
	if !forced && !a.turn.stands(k) {
		cs, err := a.ask(ctx, k)
		if err != nil {
			return 0, err
		}
		c := claim{candidates: cs, state: k.view.State, id: a.Me.ID, void: a.void(cs, k.view.State),
			settling: time.Since(k.back) < leaveIncumbent, vacant: time.Since(a.vacant.since), newborn: a.newborn()}
		after, why := c.patience()
		a.Log.Debug("ranked", "candidates", c.String())
		if after < 0 {
			a.refuse(why)
			return barredFor, nil
		}
		if after > 0 {
			a.Log.Debug("the lock is free, and others go first", "wait", after, "why", why)
		}
		a.turn = turn{k.view, k.health.Status.Of, time.Now().Add(after)}
	}
	if d := time.Until(a.turn.at); !forced && d > 0 {
		return d, nil
	}
	a.turn = turn{}
	s := k.view.State.Weave(k.health.Status.Position)
	s.Why = ""
	v, err := a.Lock.Acquire(ctx, k.session.ID, k.view, s)
	if err != nil {
		if errors.Is(err, lock.ErrMoved) {
			poke(a.doubt) // the session may be what has gone
		}
		return 0, err
	}
	a.refuse("")
	a.Log.Info("elected", "key", a.Lock.Key, "term", max(a.term, v.State.Term())+1)
	a.wrote(v)
	return 0, nil
}

// newborn is how long an empty Redis waits before it begins a cluster: whoever has data, and was started at the same
// time, has registered by then.
func (a *Agent) newborn() time.Duration { return 2 * a.Registrar.Interval }

// void tells whether the record binds nobody, by these answers. No recorded run has answered for long enough after two
// of the lock's TTLs, for as long as Consul itself waits for a holder.
func (a *Agent) void(cs []lock.Candidate, s lock.State) bool {
	now := time.Now()
	a.vacant = a.vacant.looked(slices.ContainsFunc(cs, func(c lock.Candidate) bool { return s.Record[c.ID].RunID == c.RunID }), now)
	return s.Void(cs, a.vacant.quiet(now) >= 2*a.Session.TTL)
}

// claim is what a member knows when the lock is free.
type claim struct {
	candidates []lock.Candidate
	state      lock.State
	id         string
	void       bool // the record binds nobody
	settling   bool // Consul has just come back: checks say nothing of the agents behind them

	vacant, newborn time.Duration // since the lock is free; for which an empty one waits before it begins a cluster
}

// String is who answered with what, the best first, then who may not lead.
func (c claim) String() string {
	var out []string
	ranked := lock.Rank(c.candidates, c.state, c.void)
	for _, o := range append(ranked, c.candidates...) {
		if why := o.Unfit(c.state, c.void); len(out) < len(ranked) || why != "" {
			out = append(out, strings.TrimSpace(fmt.Sprintf("%s %d keys, %.8s %.8s @%d %s", o.ID, o.Keys, o.Position.Lineage, o.Position.Lineage2, o.Position.Offset, why)))
		}
	}
	return strings.Join(out, "; ")
}

// patience decides how long a member waits before it takes a free lock; negative: it may not, as things are.
func (c claim) patience() (time.Duration, string) {
	own := slices.IndexFunc(c.candidates, func(o lock.Candidate) bool { return o.ID == c.id })
	if own < 0 {
		return leaveIncumbent, "our redis has just become unfit" // the loop will see why
	}
	if why := c.candidates[own].Unfit(c.state, c.void); why != "" {
		return -1, "redis may not lead: " + why
	}
	if c.state.Master == nil && c.candidates[own].Keys == 0 && c.vacant < c.newborn {
		return c.newborn - c.vacant, "our redis is empty, and another that has data may be about to come"
	}
	ranked := lock.Rank(c.candidates, c.state, c.void)
	rank := slices.IndexFunc(ranked, func(o lock.Candidate) bool { return o.ID == c.id })
	best := ranked[0]
	switch {
	case rank == 0:
		return 0, ""
	case best.Incumbent(c.state) && c.state.Why == "" && c.state.Master != nil && !best.Listed:
		return leaveVanished, "the master " + best.ID + " answers, and its consul agent has left"
	case best.Incumbent(c.state) && (best.Tended || c.settling) && c.state.Why == "":
		return leaveIncumbent, "the master " + best.ID + " answers"
	case best.Incumbent(c.state):
		rank-- // it gave the lock up, or nobody is there to take it for it
	}
	return time.Duration(rank) * stagger, best.ID + " ranks first"
}

// ask looks at every member's Redis at once, listed or not, and at the one that ours follows: Consul may have lost
// everything. It looks at ours no earlier: offsets move while a master lives.
func (a *Agent) ask(ctx context.Context, k known) ([]lock.Candidate, error) {
	entries, err := a.Registrar.Naming.Instances(ctx, a.Lock.Client)
	if err != nil {
		return nil, err
	}
	members := lock.Members(entries, k.view)
	own := k.health.Status
	if of := own.Of; !own.Master && of != redis.Sink && !slices.ContainsFunc(members, func(m lock.Member) bool { return m.Address == of }) {
		members = append(members, lock.Member{ID: of, Address: of, Check: lock.Unregistered})
	}
	members = slices.DeleteFunc(members, func(m lock.Member) bool { return m.ID == a.Me.ID })
	out := make([]*lock.Candidate, len(members))
	var wg sync.WaitGroup
	for i, m := range members {
		wg.Go(func() {
			st, err := a.peek(ctx, m.Address)
			if err != nil {
				a.Log.Debug("no candidate", "member", m.ID, "err", err)
				return
			}
			out[i] = &lock.Candidate{ID: m.ID, Tended: m.Tended(), Listed: m.Listed(), Status: st}
		})
	}
	st, err := a.Redis.Status(ctx)
	wg.Wait()
	var cs []lock.Candidate
	if err == nil { // or else the watch on it will say so; the others go first
		cs = append(cs, lock.Candidate{ID: a.Me.ID, Tended: true, Listed: true, Status: st})
	}
	for _, c := range out {
		if c != nil {
			cs = append(cs, *c)
		}
	}
	return cs, nil
}

// peek asks another's Redis, once and not for long.
func (a *Agent) peek(ctx context.Context, addr string) (redis.Status, error) {
	opt := a.Creds
	opt.Addr, opt.Timeout = addr, min(askFor, opt.Timeout)
	return handlers.Ask(ctx, opt)
}

// others are the recorded members that a take-over parks.
func others(v lock.View, me string) (out []elect.Other) {
	for _, id := range slices.Sorted(maps.Keys(v.State.Record)) {
		r, p := v.State.Record[id], v.Members[id]
		if id == me || v.State.Master != nil && id == v.State.Master.ID {
			continue
		}
		o := elect.Other{ID: id, Address: r.Address, Runs: []string{r.RunID}, Session: p.Session}
		if p.RunID != "" {
			o.Address, o.Runs = p.Address, append(o.Runs, p.RunID)
		}
		out = append(out, o)
	}
	return out
}
