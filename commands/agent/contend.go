package agent

import (
	"context"
	"errors"
	"slices"
	"time"

	"resec/commands/cluster"
	"resec/commands/lock"
)

const (
	// probeTimeout bounds the look at the others' Redis servers. One that is slower is no candidate.
	probeTimeout = 300 * time.Millisecond
	// stagger keeps the ranks apart: a rank's turn is over (one call to Consul) well before the next one's begins.
	stagger = 250 * time.Millisecond
	// masterReclaimTime is how long a master that answers is left to take its lost lock again. Its agent needs two calls
	// (session, lock), each again after at most a second while Consul settles.
	masterReclaimTime = 3 * time.Second
	// consulRestartTime is the same for a master that is not in the catalogue: its Consul agent was told to leave, and took its
	// node along. Measured: such an agent needs 3.2 s from there until it ends, and as long until it is back and has synced.
	consulRestartTime = 10 * time.Second
	// surveyInterval is the pause before the others are asked again: what is waited for comes without an event.
	surveyInterval = 500 * time.Millisecond
)

// electionDelay is when this member may take the lock that it saw free in the view, while its Redis followed that master: it is
// parked when that is gone.
type electionDelay struct {
	view      cluster.View
	following string
	until     time.Time
}

func (t electionDelay) stillValid(k snapshot) bool {
	return !t.until.IsZero() && t.view.SameLock(k.view) && t.following == k.health.Status.MasterAddr && agentReturned(t.view) == agentReturned(k.view)
}

// agentReturned tells whether the agent of a published master that had left is there again, or has not gone yet.
func agentReturned(v cluster.View) bool {
	m := v.State.Master
	return m != nil && v.State.Why == cluster.WhyLeaving && v.LiveAgents[m.ID].Session != ""
}

// wonLock is how we took the lock.
type wonLock struct {
	index           uint64    // of the lock
	leaderlessSince time.Time // there is no master: who is silent is waited for from there on
}

// contend takes the lock when it is this member's turn; until then it returns when that will be.
func (a *Agent) contend(ctx context.Context, k snapshot) (again time.Duration, err error) {
	if k.session.Lease.Left(time.Now()) == 0 { // with it we could do nothing
		a.logOnce("the lock is free, and our lease is over", false)
		return surveyInterval, nil
	}
	forced := k.view.Request.Active() && k.view.Request.To == a.Me.ID
	if !forced && !a.delay.stillValid(k) {
		cs, silent, err := a.surveyAndNote(ctx, k)
		if err != nil {
			return 0, err
		}
		c := candidacy{candidates: cs, unanswered: silent, state: k.view.State, id: a.Me.ID, eligibility: a.eligibility(cs, k.view.State),
			masterReturned: agentReturned(k.view), consulSettling: k.consulDown || time.Since(k.consulUpSince) < masterReclaimTime, leaderlessFor: time.Since(a.leaderless.since), slowMemberGrace: a.slowMemberGrace(), bootstrapDelay: a.bootstrapDelay()}
		v := c.acquireDelay()
		a.Log.Debug("ranked", "candidates", c.String(), "wait", v.wait, "why", v.why)
		if v.ineligible {
			a.setReason(v.why)
		}
		if v.retry {
			return v.wait, nil
		}
		a.delay = electionDelay{k.view, k.health.Status.MasterAddr, time.Now().Add(v.wait)}
	}
	if d := time.Until(a.delay.until); !forced && d > 0 {
		return d, nil
	}
	a.delay = electionDelay{}
	v, err := a.Lock.Acquire(context.WithoutCancel(ctx), k.session.ID, k.view, k.view.State.AliasHistory(k.view.State.ResolvePosition(k.health.Status)))
	if err != nil {
		if errors.Is(err, lock.ErrChanged) {
			signal(a.verifySession) // the session may be what has gone
		}
		return 0, err
	}
	a.setReason("")
	a.won = wonLock{v.LockIndex, a.leaderless.since}
	a.Log.Info("elected", "key", a.Lock.Key, "term", max(a.highestTerm, v.State.Term())+1)
	a.setWritten(v)
	return 0, nil
}

// bootstrapDelay is within which an agent that was started at the same time has looked at its Redis, registered and made a
// session: an empty Redis waits for one with data before it begins a cluster.
func (a *Agent) bootstrapDelay() time.Duration { return 2 * a.Registrar.Interval }

// slowMemberGrace is within which another agent has seen that its Redis is silent, and given up its session: that Redis may only be
// slow, and the freshest.
func (a *Agent) slowMemberGrace() time.Duration {
	return time.Duration(a.Probe.Failures)*a.Probe.Timeout + time.Second
}

// eligibility tells whom the record lets lead, by these answers. No recorded run has answered for long enough after two of the
// lock's TTLs, for as long as Consul itself waits for a holder.
func (a *Agent) eligibility(cs []cluster.Candidate, s cluster.State) cluster.Eligibility {
	now := time.Now()
	a.leaderless = a.leaderless.observe(slices.ContainsFunc(cs, func(c cluster.Candidate) bool { return s.Members[c.ID].RunID == c.RunID }), now)
	return s.Eligibility(cs, a.leaderless.quietFor(now) >= 2*a.Session.TTL)
}
