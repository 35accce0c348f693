package agent

import (
	"context"
	"errors"
	"slices"
	"time"

	"resec/commands/lock"
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
	// lookAgain is the pause before the others are asked again: what is waited for comes without an event.
	lookAgain = 500 * time.Millisecond
)

// turn is when this member may take the lock that it saw free in the view, while its Redis followed that master: it is
// parked when that is gone.
type turn struct {
	view lock.View
	of   string
	at   time.Time
}

func (t turn) stands(k known) bool {
	return !t.at.IsZero() && t.view.Same(k.view) && t.of == k.health.Status.Of && returned(t.view) == returned(k.view)
}

// returned tells whether the agent of a published master that had left is there again, or has not gone yet.
func returned(v lock.View) bool {
	m := v.State.Master
	return m != nil && v.State.Why == lock.WhyLeaving && v.Members[m.ID].Session != ""
}

// acquired is how we took the lock.
type acquired struct {
	index uint64    // of the lock
	since time.Time // there is no master: who is silent is waited for from there on
}

// contend takes the lock when it is this member's turn; until then it returns when that will be.
func (a *Agent) contend(ctx context.Context, k known) (again time.Duration, err error) {
	if k.session.Lease.Left(time.Now()) == 0 { // with it we could do nothing
		a.say("the lock is free, and our lease is over", false)
		return lookAgain, nil
	}
	forced := k.view.Request.Stands() && k.view.Request.To == a.Me.ID
	if !forced && !a.turn.stands(k) {
		cs, silent, err := a.ask(ctx, k)
		if err != nil {
			return 0, err
		}
		c := claim{candidates: cs, silent: silent, state: k.view.State, id: a.Me.ID, binds: a.binds(cs, k.view.State),
			returned: returned(k.view), settling: k.away || time.Since(k.back) < leaveIncumbent, vacant: time.Since(a.vacant.since), grace: a.grace(), newborn: a.newborn()}
		v := c.patience()
		a.Log.Debug("ranked", "candidates", c.String(), "wait", v.wait, "why", v.why)
		if v.barred {
			a.refuse(v.why)
		}
		if v.again {
			return v.wait, nil
		}
		a.turn = turn{k.view, k.health.Status.Of, time.Now().Add(v.wait)}
	}
	if d := time.Until(a.turn.at); !forced && d > 0 {
		return d, nil
	}
	a.turn = turn{}
	v, err := a.Lock.Acquire(context.WithoutCancel(ctx), k.session.ID, k.view, k.view.State.Weave(k.view.State.Continued(k.health.Status)))
	if err != nil {
		if errors.Is(err, lock.ErrMoved) {
			poke(a.doubt) // the session may be what has gone
		}
		return 0, err
	}
	a.refuse("")
	a.acquired = acquired{v.LockIndex, a.vacant.since}
	a.Log.Info("elected", "key", a.Lock.Key, "term", max(a.term, v.State.Term())+1)
	a.wrote(v)
	return 0, nil
}

// newborn is within which an agent that was started at the same time has looked at its Redis, registered and made a
// session: an empty Redis waits for one with data before it begins a cluster.
func (a *Agent) newborn() time.Duration { return 2 * a.Registrar.Interval }

// grace is within which another agent has seen that its Redis is silent, and given up its session: that Redis may only be
// slow, and the freshest.
func (a *Agent) grace() time.Duration {
	return time.Duration(a.Probe.Failures)*a.Probe.Timeout + time.Second
}

// binds tells whom the record lets lead, by these answers. No recorded run has answered for long enough after two of the
// lock's TTLs, for as long as Consul itself waits for a holder.
func (a *Agent) binds(cs []lock.Candidate, s lock.State) lock.Binding {
	now := time.Now()
	a.vacant = a.vacant.looked(slices.ContainsFunc(cs, func(c lock.Candidate) bool { return s.Record[c.ID].RunID == c.RunID }), now)
	return s.Binds(cs, a.vacant.quiet(now) >= 2*a.Session.TTL)
}
