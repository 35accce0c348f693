package agent

import (
	"context"
	"errors"
	"slices"
	"time"

	"resec/commands/cluster"
	"resec/commands/lock"
	"resec/commands/member"
	"resec/commands/observable"
	"resec/commands/survey"
)

// contender gets the lock: it surveys the members, waits for this member's turn, and acquires the lock or preempts its
// holder. It is the controller's, and runs in the controller's goroutine alone.
type contender struct {
	a *Agent

	delay       electionDelay
	leaderless  cluster.Leaderless
	evidence    cluster.FailureEvidence
	masterCheck checkPassing // at the last survey
	highestTerm uint64       // that we know of: the state may be deleted by hand
	handedOff   bool         // the lock was transferred to another member, which may have held our clients back
}

// electionDelay is the earliest time at which this member may acquire the free lock. It is valid only while the lock and our
// Redis's replication target are unchanged: Redis is parked when its master is down.
type electionDelay struct {
	of    member.Snapshot
	until time.Time
}

func (d electionDelay) stillValid(k member.Snapshot) bool {
	follows := d.of.Health.Status.MasterAddr == k.Health.Status.MasterAddr
	return !d.until.IsZero() && k.SameLock(d.of) && follows && cluster.AgentReturned(d.of.View) == cluster.AgentReturned(k.View)
}

// wonLock is a lock that contending has won.
type wonLock struct {
	lockIndex       uint64    // of the lock key's change that gave it to us
	leaderlessSince time.Time // an unreachable member is waited for from then on
}

// survey asks all members, and keeps what the answers prove of the published master.
func (c *contender) survey(ctx context.Context, k member.Snapshot) (survey.Result, error) {
	s, err := c.a.surveyor.Survey(ctx, k.Snapshot)
	if err != nil {
		return survey.Result{}, err
	}
	master := k.View.State.Master
	for _, is := range s.Answers {
		c.evidence.Observe(is.Member.ID, is.Status, is.Err, is.At, master)
		if master != nil && master.ID == is.Member.ID && is.Member.Check == "passing" {
			c.masterCheck = checkPassing{master.RunID, time.Now()}
		}
	}
	return s, nil
}

// contend acquires the free lock if it is this member's turn; until then it returns when that will be. It returns the lock
// that it won; nil: it did not. lock.ErrChanged: another member was faster.
func (c *contender) contend(ctx context.Context, k member.Snapshot) (won *wonLock, again time.Duration, err error) {
	if k.LeaseLeft(time.Now()) == 0 { // with the lock we could do nothing
		return nil, cluster.SurveyInterval, nil
	}
	forced := k.View.Request.Active() && k.View.Request.To == c.a.Me.ID
	if !forced {
		if again, err = c.wait(ctx, k); err != nil || again > 0 {
			return nil, again, err
		}
	}
	c.delay = electionDelay{}
	v, err := c.a.Lock.Acquire(context.WithoutCancel(ctx), k.SessionID, k.View, aliased(k))
	if err != nil {
		if errors.Is(err, lock.ErrChanged) {
			observable.Signal(c.a.verifySession) // the session may be what is lost
		}
		return nil, 0, err
	}
	c.a.setReason("")
	c.a.Log.Info("elected; taking over", "event", "elected", "key", c.a.Lock.Key, "term", max(c.highestTerm, v.State.Term())+1)
	c.a.observer.Wrote(v)
	return &wonLock{v.LockIndex, c.leaderless.Since}, 0, nil
}

// wait returns for how long this member must not acquire the lock yet; 0: it is its turn.
func (c *contender) wait(ctx context.Context, k member.Snapshot) (time.Duration, error) {
	if !c.delay.stillValid(k) {
		s, err := c.survey(ctx, k)
		if err != nil {
			return 0, err
		}
		claim := c.candidacy(k, s)
		d := claim.AcquireDelay()
		c.a.Log.Debug("candidates are ranked", "event", "candidates_ranked",
			"candidates", claim.String(), "wait", d.Wait, "why", d.Why)
		if d.Ineligible {
			c.a.setReason(d.Why)
		}
		if d.Retry {
			return d.Wait, nil
		}
		c.delay = electionDelay{k, time.Now().Add(d.Wait)}
	}
	return max(0, time.Until(c.delay.until)), nil
}

// candidacy is what this member knows when the lock is free.
func (c *contender) candidacy(k member.Snapshot, s survey.Result) cluster.Candidacy {
	return cluster.Candidacy{ID: c.a.Me.ID, Candidates: s.Candidates, Unanswered: s.Unanswered, State: k.View.State,
		Eligibility:    c.eligibility(s.Candidates, k.View.State),
		MasterReturned: cluster.AgentReturned(k.View),
		ConsulSettling: k.ConsulDown || time.Since(k.ConsulUpSince) < cluster.MasterReclaimTime,
		LeaderlessFor:  time.Since(c.leaderless.Since), SlowMemberGrace: c.slowMemberGrace(), BootstrapDelay: c.bootstrapDelay()}
}

// bootstrapDelay is how long an empty Redis waits before it founds a cluster, so that an agent started at the same time
// whose Redis has data can register first.
func (c *contender) bootstrapDelay() time.Duration { return 2 * c.a.Registrar.Interval }

// slowMemberGrace bounds how long the election waits for a member that does not answer but whose agent is alive: its Redis
// may just be slow and may hold the newest data. After that its own agent has dropped its session.
func (c *contender) slowMemberGrace() time.Duration {
	return time.Duration(c.a.Probe.Failures)*c.a.Probe.Timeout + time.Second
}

// eligibility is which members may lead, by these answers. If no recorded instance has answered for two of the lock's TTLs,
// as long as Consul itself waits for a holder, it is a cold start.
func (c *contender) eligibility(cs []cluster.Candidate, s cluster.State) cluster.Eligibility {
	now := time.Now()
	recorded := func(c cluster.Candidate) bool { return s.Members[c.ID].RunID == c.RunID }
	c.leaderless = c.leaderless.Observe(slices.ContainsFunc(cs, recorded), now)
	return s.Eligibility(cs, c.leaderless.QuietFor(now) >= 2*c.a.Session.TTL)
}

// confirmEligible surveys again whether our Redis may still lead although no recorded instance does.
func (c *contender) confirmEligible(k member.Snapshot) func(context.Context, cluster.State) error {
	return func(ctx context.Context, s cluster.State) error {
		k.View.State = s // it knows of histories that began as we caught up
		found, err := c.survey(ctx, k)
		if err != nil {
			return err
		}
		may := c.eligibility(found.Candidates, s)
		for _, is := range found.Candidates {
			if why := is.IneligibleReason(s, may); is.ID == c.a.Me.ID && why != "" {
				return errors.New(why)
			}
		}
		return nil
	}
}

// aliased is the state with our data's history noted as continuing a known one, as it is written with the lock.
func aliased(k member.Snapshot) cluster.State {
	return k.View.State.AliasHistory(k.View.State.ResolvePosition(k.Health.Status))
}

// checkPassing is a published master's instance whose entry in the catalogue passed its check: clients are sent to its address.
type checkPassing struct {
	runID string
	at    time.Time
}

// isFresh reports whether that was so just now.
func (p checkPassing) isFresh(runID string) bool {
	return p.runID == runID && time.Since(p.at) < 2*time.Second
}
