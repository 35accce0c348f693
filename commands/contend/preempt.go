package contend

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"resec/commands/cluster"
	"resec/commands/known"
	"resec/commands/lock"
	"resec/commands/survey"
	"resec/commands/takeover"
)

// Early takeover. The agent of a dead master ends its session, unless it died too: then Consul waits for the check's TTL, or
// for twice the session's. A replica's agent ends that session before, if it has the evidence on which a takeover would continue
// under the lock:
//
//   - Nothing listens at the master's address, or another instance does.
//   - The master is unreachable, and enough members have been detached for so long that its guard has closed it.
//
// A network that rejects connections makes this evidence wrong. It makes the takeover's wrong in the same way, and that asks the
// old master once more before all else. No safety rests on the lock: a holder that is alive takes it again at once.

// Preempt ends the session of a holder that is proven down or closed, and acquires the lock, if it is this member's turn.
// It returns the lock that it won; nil: it did not, or not yet.
func (c *Contender) Preempt(ctx context.Context, k known.Snapshot) (won *Won, again time.Duration, err error) {
	m := k.View.State.Master
	if k.LeaseLeft(time.Now()) == 0 { // with the lock we could do nothing
		return nil, cluster.SurveyInterval, nil
	}
	if e := &c.evidence; !e.Concerns(k.View) {
		*e = cluster.NewFailureEvidence(k.Snapshot)
	}
	// Its own agent releases the lock, if alive.
	if d := k.Failure.DownSince; !d.IsZero() && time.Since(d) < cluster.ConfirmDownDelay {
		return nil, cluster.ConfirmDownDelay - time.Since(d), nil
	}
	unchanged, end := c.untilViewChanges(ctx, k)
	defer end()
	if again, err = c.proveFailure(unchanged, k); unchanged.Err() != nil { // the lock changed, as when its own agent releases it
		return nil, 0, nil
	}
	if err != nil || again > 0 {
		return nil, again, err
	}
	v, err := c.Lock.Preempt(context.WithoutCancel(ctx), k.SessionID, k.View, aliased(k))
	if errors.Is(err, lock.ErrChanged) {
		c.Log.Debug("lock changed before it could be preempted", "event", "preempt_lost", "err", err)
		return nil, takeover.ProbeInterval, nil
	}
	if err != nil {
		return nil, 0, err
	}
	c.Log.Warn("early takeover: master is down or unreachable but its session still held the lock; its session is destroyed",
		"event", "elected_early",
		"key", c.Lock.Key, "master", m.ID, "addr", m.Address, "session", k.View.Session)
	c.Wrote(v)
	return &Won{v.LockIndex, k.Failure.Since}, 0, nil
}

// proveFailure surveys the members, and returns how long to wait before the next survey; 0: the failure is proven, and it is
// this member's turn.
func (c *Contender) proveFailure(ctx context.Context, k known.Snapshot) (again time.Duration, err error) {
	m := k.View.State.Master
	s, err := c.Survey(ctx, k)
	now := time.Now() // before our Redis is parked: what is asked after that is another look
	if err == nil && !c.answers(s, m) && !k.Health.Status.Parked() {
		if err := c.detach(ctx, m); err != nil {
			return 0, fmt.Errorf("park our redis, which follows an unreachable master: %w", err)
		}
		s, err = c.Survey(ctx, k)
	}
	if err != nil {
		return 0, err
	}
	if c.answers(s, m) {
		return cluster.SurveyInterval, nil
	}
	guardCloses := takeover.GuardCloseTime(m) + c.StallAllowance(m)
	if wait := c.evidence.UntilProven(k.View.State, guardCloses, takeover.ProbeInterval, now); wait > 0 {
		return wait, nil
	}
	rank := cluster.LivingRank(s.Candidates, k.View, c.ID)
	slow := slices.ContainsFunc(s.Unanswered, func(id string) bool { return id != m.ID }) // it may hold newer data
	if rank < 0 || slow && now.Sub(k.Failure.Since) < c.SlowMemberGrace() {
		return takeover.ProbeInterval, nil
	}
	return c.turn(k, rank, now), nil
}

// answers reports whether the master answers after all, there or at another address by now. Then its failure is forgotten.
func (c *Contender) answers(s survey.Result, m *cluster.Master) bool {
	alive := func(is cluster.Candidate) bool { return is.ID == m.ID && is.RunID == m.RunID }
	if !slices.ContainsFunc(s.Candidates, alive) {
		return false
	}
	c.Known.Update(func(k *known.Snapshot) {
		if k.Failure.RunID == m.RunID { // not what the monitor has found out about a newer master since
			k.Failure = cluster.MasterFailure{}
		}
	})
	return true
}

// turn is how long a member of that rank waits before it preempts.
func (c *Contender) turn(k known.Snapshot, rank int, now time.Time) time.Duration {
	wait := time.Duration(rank) * cluster.Stagger
	if wait == 0 {
		return 0
	}
	if !c.delay.stillValid(k) {
		c.delay = electionDelay{k, now.Add(wait)}
	}
	return max(0, min(takeover.ProbeInterval, c.delay.until.Sub(now)))
}

// untilViewChanges is a context that ends once the lock or the state has changed. The function that it returns ends it, and
// must be called.
func (c *Contender) untilViewChanges(ctx context.Context, was known.Snapshot) (context.Context, func()) {
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for ctx.Err() == nil {
			k, changed := c.Known.Watch()
			if !k.SameLock(was) {
				cancel()
			}
			select {
			case <-ctx.Done():
			case <-changed:
			}
		}
	}()
	return ctx, func() { cancel(); <-ended }
}

// detach parks our Redis, so that the guard of an unreachable master closes. It leaves our Redis alone if one more probe reaches
// that master, which may have been out of reach only for a moment.
func (c *Contender) detach(ctx context.Context, m *cluster.Master) error {
	if st, err := c.Surveyor.Probe(ctx, m.Address, survey.ProbeTimeout); err == nil && st.RunID == m.RunID {
		return nil
	}
	parked, err := c.ParkIfFollowing(ctx, m.Address)
	if parked && err == nil {
		c.Log.Warn("master is unreachable; redis is parked so that the master's guard closes", "event", "master_unreachable",
			"master", m.ID, "addr", m.Address)
	}
	return err
}
