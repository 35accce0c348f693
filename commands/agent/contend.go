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
)

// electionDelay is when this member may take the lock that it saw free in the view, while its Redis followed that master: it is
// parked when that is gone.
type electionDelay struct {
	view      cluster.View
	following string
	until     time.Time
}

func (t electionDelay) stillValid(k snapshot) bool {
	return !t.until.IsZero() && t.view.SameLock(k.View) && t.following == k.Health.Status.MasterAddr && cluster.AgentReturned(t.view) == cluster.AgentReturned(k.View)
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
		return cluster.SurveyInterval, nil
	}
	forced := k.View.Request.Active() && k.View.Request.To == a.Me.ID
	if !forced && !a.delay.stillValid(k) {
		cs, silent, err := a.surveyAndNote(ctx, k)
		if err != nil {
			return 0, err
		}
		c := cluster.Candidacy{Candidates: cs, Unanswered: silent, State: k.View.State, ID: a.Me.ID, Eligibility: a.eligibility(cs, k.View.State),
			MasterReturned: cluster.AgentReturned(k.View), ConsulSettling: k.ConsulDown || time.Since(k.ConsulUpSince) < cluster.MasterReclaimTime, LeaderlessFor: time.Since(a.leaderless.Since), SlowMemberGrace: a.slowMemberGrace(), BootstrapDelay: a.bootstrapDelay()}
		v := c.AcquireDelay()
		a.Log.Debug("ranked", "candidates", c.String(), "wait", v.Wait, "why", v.Why)
		if v.Ineligible {
			a.setReason(v.Why)
		}
		if v.Retry {
			return v.Wait, nil
		}
		a.delay = electionDelay{k.View, k.Health.Status.MasterAddr, time.Now().Add(v.Wait)}
	}
	if d := time.Until(a.delay.until); !forced && d > 0 {
		return d, nil
	}
	a.delay = electionDelay{}
	v, err := a.Lock.Acquire(context.WithoutCancel(ctx), k.session.ID, k.View, k.View.State.AliasHistory(k.View.State.ResolvePosition(k.Health.Status)))
	if err != nil {
		if errors.Is(err, lock.ErrChanged) {
			signal(a.verifySession) // the session may be what has gone
		}
		return 0, err
	}
	a.setReason("")
	a.won = wonLock{v.LockIndex, a.leaderless.Since}
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
	a.leaderless = a.leaderless.Observe(slices.ContainsFunc(cs, func(c cluster.Candidate) bool { return s.Members[c.ID].RunID == c.RunID }), now)
	return s.Eligibility(cs, a.leaderless.QuietFor(now) >= 2*a.Session.TTL)
}
