package contend

import (
	"context"
	"errors"
	"slices"
	"time"

	"resec/commands/cluster"
	"resec/commands/known"
	"resec/commands/lock"
	"resec/commands/observable"
	"resec/commands/survey"
)

// electionDelay is the earliest time at which this member may acquire the free lock. It is valid only while the lock and our
// Redis's replication target are unchanged: Redis is parked when its master is down.
type electionDelay struct {
	of    known.Snapshot
	until time.Time
}

func (d electionDelay) stillValid(k known.Snapshot) bool {
	follows := d.of.Health.Status.MasterAddr == k.Health.Status.MasterAddr
	return !d.until.IsZero() && k.SameLock(d.of) && follows && cluster.AgentReturned(d.of.View) == cluster.AgentReturned(k.View)
}

// Acquire acquires the free lock if it is this member's turn; until then it returns when that will be. It returns the lock
// that it won; nil: it did not. lock.ErrChanged: another member was faster.
func (c *Contender) Acquire(ctx context.Context, k known.Snapshot) (won *Won, again time.Duration, err error) {
	if k.LeaseLeft(time.Now()) == 0 { // with the lock we could do nothing
		return nil, cluster.SurveyInterval, nil
	}
	forced := k.View.Request.Active() && k.View.Request.To == c.ID
	if !forced {
		if again, err = c.wait(ctx, k); err != nil || again > 0 {
			return nil, again, err
		}
	}
	c.delay = electionDelay{}
	v, err := c.Lock.Acquire(context.WithoutCancel(ctx), k.SessionID, k.View, aliased(k))
	if err != nil {
		if errors.Is(err, lock.ErrChanged) {
			observable.Signal(c.Verify) // the session may be what is lost
		}
		return nil, 0, err
	}
	c.SetReason("")
	c.Log.Info("elected; taking over", "event", "elected", "key", c.Lock.Key, "term", max(c.HighestTerm, v.State.Term())+1)
	c.Wrote(v)
	return &Won{v.LockIndex, c.Leaderless.Since}, 0, nil
}

// wait returns for how long this member must not acquire the lock yet; 0: it is its turn.
func (c *Contender) wait(ctx context.Context, k known.Snapshot) (time.Duration, error) {
	if !c.delay.stillValid(k) {
		s, err := c.Survey(ctx, k)
		if err != nil {
			return 0, err
		}
		claim := c.candidacy(k, s)
		d := claim.AcquireDelay()
		c.Log.Debug("candidates are ranked", "event", "candidates_ranked",
			"candidates", claim.String(), "wait", d.Wait, "why", d.Why)
		switch {
		case d.Ineligible, d.First && d.Retry:
			c.SetReason(d.Why)
		case d.First:
			c.SetReason(d.Why + ", until " + time.Now().Add(d.Wait).UTC().Format(time.TimeOnly) + " UTC")
		}
		if d.Retry {
			return d.Wait, nil
		}
		c.delay = electionDelay{k, time.Now().Add(d.Wait)}
	}
	return max(0, time.Until(c.delay.until)), nil
}

// candidacy is what this member knows when the lock is free.
func (c *Contender) candidacy(k known.Snapshot, s survey.Result) cluster.Candidacy {
	return cluster.Candidacy{ID: c.ID, Candidates: s.Candidates, Unanswered: s.Unanswered,
		Unnamed: s.Unnamed, Elsewhere: s.Elsewhere,
		State:          k.View.State,
		Eligibility:    c.eligibility(s.Candidates, k.View.State),
		MasterReturned: cluster.AgentReturned(k.View),
		ConsulSettling: k.ConsulDown || time.Since(k.ConsulUpSince) < cluster.MasterReclaimTime,
		LeaderlessFor:  time.Since(c.Leaderless.Since), SlowMemberGrace: c.SlowMemberGrace(), BootstrapDelay: c.bootstrapDelay(),
		BootstrapExpect: c.BootstrapExpect}
}

// bootstrapDelay is how long an empty Redis waits before it founds a cluster, so that an agent started at the same time
// whose Redis has data can register first.
func (c *Contender) bootstrapDelay() time.Duration { return 2 * c.Interval }

// eligibility is which members may lead, by these answers. If no recorded instance has answered for two of the lock's TTLs,
// as long as Consul itself waits for a holder, it is a cold start.
func (c *Contender) eligibility(cs []cluster.Candidate, s cluster.State) cluster.Eligibility {
	now := time.Now()
	recorded := func(c cluster.Candidate) bool { return s.Members[c.ID].RunID == c.RunID }
	c.Leaderless = c.Leaderless.Observe(slices.ContainsFunc(cs, recorded), now)
	return s.Eligibility(cs, c.Leaderless.QuietFor(now) >= 2*c.SessionTTL)
}

// ConfirmEligible surveys again whether our Redis may still lead although no recorded instance does.
func (c *Contender) ConfirmEligible(k known.Snapshot) func(context.Context, cluster.State) error {
	return func(ctx context.Context, s cluster.State) error {
		k.View.State = s // it knows of histories that began as we caught up
		found, err := c.Survey(ctx, k)
		if err != nil {
			return err
		}
		may := c.eligibility(found.Candidates, s)
		for _, is := range found.Candidates {
			if why := is.IneligibleReason(s, may); is.ID == c.ID && why != "" {
				return errors.New(why)
			}
		}
		if keeper := cluster.LacksKept(c.ID, found.Candidates, s); keeper != "" {
			return errors.New(cluster.LacksDataReason(c.ID, keeper))
		}
		return nil
	}
}

// aliased is the state with our data's history noted as continuing a known one, as it is written with the lock.
func aliased(k known.Snapshot) cluster.State {
	return k.View.State.AliasHistory(k.View.State.ResolvePosition(k.Health.Status))
}
