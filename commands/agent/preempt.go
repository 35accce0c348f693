package agent

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"resec/commands/cluster"
	"resec/commands/lock"
	"resec/commands/takeover"
	"resec/handlers/redis"
)

// Early take-over. The agent of a dead master ends its session, unless it died too: then Consul waits for the check's TTL, or
// for twice the session's. A replica's agent ends that session before, on the evidence on which a take-over would go on that
// had the lock already: nothing listens at the master's address, or another run does; or the master is silent, and enough
// members follow nobody for so long that its guard has closed it. What is wrong with that evidence (a network that rejects) is
// wrong with the take-over's, which asks the old master once more before all else; ending a session adds nothing to it, for no
// safety rests on the lock, and a holder that lives takes it again at once.

// confirmDownDelay is from when the watch finds nothing at the master's address until the others are asked, and between two looks that
// both find nothing there: its own agent, where it lives, needs some ten milliseconds to give the lock up, and says why.
const confirmDownDelay = 300 * time.Millisecond

// masterFailure is a published master as the watch on it sees it.
type masterFailure struct {
	run         string // of the master; empty: none is watched
	down        bool   // nothing listens, or another run answers
	unreachable bool
	since       time.Time // it is one of both
	downSince   time.Time // it is gone
}

// updateFailure learns how a master is.
func (a *Agent) updateFailure(m cluster.Master, h redis.Health) {
	was, is := a.known.Load().failure, masterFailure{run: m.RunID, down: isDown(h, m.RunID), unreachable: redis.Unreachable(h.Err)}
	switch {
	case !is.down && !is.unreachable:
	case was.run == is.run && !was.since.IsZero():
		is.since = was.since
	default:
		is.since = time.Now()
	}
	if was.run == is.run && was.down && is.down {
		is.downSince = was.downSince
	} else if is.down {
		is.downSince = time.Now()
	}
	if was != is {
		a.known.Update(func(k *snapshot) { k.failure = is })
	}
}

// masterFailed tells whether the published master, whose session holds the lock, is gone or silent, and our Redis might be the next.
func masterFailed(k snapshot, id string) bool {
	m, st := k.view.State.Master, k.health.Status
	if m == nil || m.ID == id || m.ID != k.view.Holder || k.failure.run != m.RunID || !k.failure.down && !k.failure.unreachable {
		return false
	}
	return k.session != nil && unusableReason(k.health) == "" && k.view.State.NotRecordedReason(id, st.RunID) == "" && !k.view.Request.Active() &&
		!st.Master && (st.MasterAddr == m.Address || st.Parked()) && (k.failure.down || k.view.State.DetachQuorum() > 0)
}

// failureEvidence is what is known of one master that is missing.
type failureEvidence struct {
	index     uint64 // of the lock
	run       string
	detached  *cluster.DetachTracker
	downSince time.Time // since when each look found nothing at its address; zero: the last did not
	lastProbe time.Time // of those looks
}

// preempt ends the session of a holder that is gone, and takes the lock, when that is proven and it is our turn.
func (a *Agent) preempt(ctx context.Context, k snapshot) (again time.Duration, err error) {
	m := k.view.State.Master
	if k.session.Lease.Left(time.Now()) == 0 { // with the lock we could do nothing
		return surveyInterval, nil
	}
	if b := &a.evidence; b.run != m.RunID || b.index != k.view.LockIndex {
		*b = failureEvidence{index: k.view.LockIndex, run: m.RunID, detached: cluster.NewDetachTracker(), downSince: k.failure.downSince, lastProbe: k.failure.downSince}
	}
	if left := k.failure.downSince; !left.IsZero() && time.Since(left) < confirmDownDelay { // its agent is at it, if it lives
		return confirmDownDelay - time.Since(left), nil
	}
	looking, end := a.untilViewChanges(ctx, k)
	defer end()
	if !k.health.Status.Parked() {
		err = a.detach(looking, m)
	}
	var cs []cluster.Candidate
	var silent []string
	if err == nil {
		cs, silent, err = a.surveyAndNote(looking, k)
	}
	if looking.Err() != nil { // as its own agent does when it gives the lock up: that is the shorter way
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	if slices.ContainsFunc(cs, func(c cluster.Candidate) bool { return c.ID == m.ID && c.RunID == m.RunID }) {
		a.known.Update(func(k *snapshot) { k.failure = masterFailure{} })
		return surveyInterval, nil
	}
	now := time.Now()
	wait := a.evidence.untilProven(k.view.State, takeover.GuardCloseTime(m)+a.stallAllowance(m), now)
	if wait > 0 {
		return wait, nil
	}
	slow := slices.ContainsFunc(silent, func(id string) bool { return id != m.ID }) // and may be fresher
	rank := a.rank(cs, k)
	if rank < 0 || slow && now.Sub(k.failure.since) < a.slowMemberGrace() {
		return takeover.ProbeInterval, nil
	}
	if wait = time.Duration(rank) * stagger; wait > 0 && !a.delay.stillValid(k) {
		a.delay = electionDelay{k.view, k.health.Status.MasterAddr, now.Add(wait)}
	}
	if wait > 0 && now.Before(a.delay.until) {
		return min(takeover.ProbeInterval, a.delay.until.Sub(now)), nil
	}
	v, err := a.Lock.Preempt(context.WithoutCancel(ctx), k.session.ID, k.view, k.view.State.AliasHistory(k.view.State.ResolvePosition(k.health.Status)))
	if err != nil {
		if errors.Is(err, lock.ErrChanged) {
			a.Log.Debug("the lock is not to be had", "err", err)
			return takeover.ProbeInterval, nil
		}
		return 0, err
	}
	a.won = wonLock{v.LockIndex, k.failure.since}
	a.Log.Warn("elected early: the master is missing, and its agent does not say so", "key", a.Lock.Key, "master", m.ID, "session", k.view.Session)
	a.setWritten(v)
	return 0, nil
}

// untilViewChanges is a context for what is worth nothing any more once lock or state have changed.
func (a *Agent) untilViewChanges(ctx context.Context, was snapshot) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	a.background.Go(func() {
		for ctx.Err() == nil {
			k, changed := a.known.Watch()
			if !k.view.SameLock(was.view) {
				cancel()
			}
			select {
			case <-ctx.Done():
			case <-changed:
			}
		}
	})
	return ctx, cancel
}

// detach parks our Redis, so that a silent master's guard closes it, if one more look says the same: one that was silent at the
// last may have been out of reach, and be back.
func (a *Agent) detach(ctx context.Context, m *cluster.Master) error {
	if st, err := a.probe(ctx, m.Address, false); err == nil && st.RunID == m.RunID {
		return nil
	}
	if own, err := a.Redis.Status(ctx); err != nil || own.Master || own.MasterAddr != m.Address {
		return err
	}
	a.Log.Warn("the master is silent; our redis is parked, so that it closes", "master", m.ID, "addr", m.Address)
	defer a.probeSoon()
	return a.Redis.Park(ctx)
}

// stallAllowance is the function of that name, for a master.
func (a *Agent) stallAllowance(m *cluster.Master) time.Duration {
	return stallAllowance(time.Duration(m.MaxLag)*time.Second, a.Registrar.Interval, a.detectionTime())
}

// untilProven is how long to look again until it is proven that the master accepts no writes; 0: it is.
func (b *failureEvidence) untilProven(s cluster.State, closed time.Duration, now time.Time) time.Duration {
	if !b.downSince.IsZero() {
		return max(0, confirmDownDelay-now.Sub(b.downSince))
	}
	need := s.DetachQuorum()
	others := slices.DeleteFunc(slices.Collect(maps.Keys(s.Members)), func(id string) bool { return id == s.Master.ID })
	if need > 0 && b.detached.CountDetached(now, closed, others...) >= need {
		return 0
	}
	return takeover.ProbeInterval
}

// observe takes in what a member answered.
func (b *failureEvidence) observe(id string, m *cluster.Master, st redis.Status, err error, at time.Time) {
	if b.detached == nil || m == nil {
		return
	}
	if id != m.ID {
		b.detached.Observe(id, st, err, at)
		return
	}
	if at.Sub(b.lastProbe) > 4*confirmDownDelay { // what was before is no first look to this one
		b.downSince = time.Time{}
	}
	b.lastProbe = at
	switch {
	case !cluster.Down(err) && (err != nil || st.RunID == b.run):
		b.downSince = time.Time{}
	case b.downSince.IsZero():
		b.downSince = at
	}
}

// rank is how many rank before us whose agents live; negative: we may not lead.
func (a *Agent) rank(cs []cluster.Candidate, k snapshot) int {
	s := k.view.State
	ranked := slices.DeleteFunc(cluster.Rank(cs, s, cluster.RecordedOnly), func(c cluster.Candidate) bool { return c.ID != a.Me.ID && k.view.LiveAgents[c.ID].Session == "" })
	return slices.IndexFunc(ranked, func(c cluster.Candidate) bool { return c.ID == a.Me.ID })
}
