package agent

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

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
)

// turn is when this member may take the lock that it saw free in the view.
type turn struct {
	view lock.View
	at   time.Time
}

// contend takes the lock when it is this member's turn; until then it returns when that will be.
func (a *Agent) contend(ctx context.Context, k known) (again time.Duration, err error) {
	if a.turn.at.IsZero() || !a.turn.view.Same(k.view) {
		cs, err := a.ask(ctx, k.health.Status, k.view.State)
		if err != nil {
			return 0, err
		}
		after, why := patience(cs, k.view.State, a.Me.ID, time.Since(k.back) < leaveIncumbent)
		a.turn = turn{k.view, time.Now().Add(after)}
		if after > 0 {
			a.Log.Debug("the lock is free, and others go first", "wait", after, "why", why)
		}
	}
	if d := time.Until(a.turn.at); d > 0 {
		return d, nil
	}
	a.turn = turn{}
	v, err := a.Lock.Acquire(ctx, k.session.ID, k.view)
	if err != nil {
		if errors.Is(err, lock.ErrMoved) {
			poke(a.doubt) // the session may be what has gone
		}
		return 0, err
	}
	a.Log.Info("elected", "key", a.Lock.Key, "term", max(a.Me.Term, v.State.Term())+1)
	a.see(v)
	return 0, nil
}

// patience decides how long a member waits before it takes a free lock. While Consul settles after an outage, checks
// say nothing of the agents behind them.
func patience(cs []lock.Candidate, s lock.State, id string, settling bool) (time.Duration, string) {
	ranked := lock.Rank(cs, s)
	rank := slices.IndexFunc(ranked, func(c lock.Candidate) bool { return c.ID == id })
	switch rank {
	case 0:
		return 0, ""
	case -1:
		return leaveIncumbent, "our redis has just become unfit" // the loop will see why
	}
	best := ranked[0]
	if best.Incumbent(s) && (best.Tended || settling) && s.Why == "" {
		return leaveIncumbent, "the master " + best.ID + " answers"
	}
	if best.Incumbent(s) {
		rank-- // it gave the lock up, or nobody is there to take it for it
	}
	return time.Duration(rank) * stagger, best.ID + " ranks first"
}

// ask looks at every member's Redis at once, also at the published master's where it is not listed, and at the one that
// ours follows: Consul may have lost everything. It looks at ours no earlier: offsets move while a master lives.
func (a *Agent) ask(ctx context.Context, own redis.Status, s lock.State) ([]lock.Candidate, error) {
	entries, err := a.Registrar.Naming.Instances(ctx, a.Lock.Client)
	if err != nil {
		return nil, err
	}
	var out []lock.Candidate
	var mu sync.Mutex
	var wg sync.WaitGroup
	add := func(c lock.Candidate) { mu.Lock(); out = append(out, c); mu.Unlock() }
	wg.Go(func() {
		st, err := a.Redis.Status(ctx)
		if err != nil { // the watch on it will say so; the others go first
			st = redis.Status{Loading: true}
		}
		add(lock.Candidate{ID: a.Me.ID, Tended: true, Status: st})
	})
	members := lock.Members(entries, s)
	if of := own.Of; !own.Master && of != redis.Sink && !slices.ContainsFunc(members, func(m lock.Member) bool { return m.Address == of }) {
		members = append(members, lock.Member{ID: of, Address: of})
	}
	for _, m := range members {
		if m.ID == a.Me.ID {
			continue
		}
		wg.Go(func() {
			opt := a.Creds
			opt.Addr, opt.Timeout = m.Address, askFor
			st, err := handlers.Ask(ctx, opt)
			if err != nil {
				a.Log.Debug("no candidate", "member", m.ID, "err", err)
				return
			}
			add(lock.Candidate{ID: m.ID, Tended: m.Tended(), Status: st})
		})
	}
	wg.Wait()
	return out, nil
}
