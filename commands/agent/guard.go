package agent

import (
	"context"
	"errors"
	"time"

	"resec/commands/cluster"
	"resec/commands/failpoint"
	"resec/commands/lock"
	"resec/handlers/redis"
)

// guardInterval is how often the guard is looked at: Redis itself looks at the lag of its replicas once a second. After a
// replica's connection has ended it is alertEvery, for alertFor: Redis may notice a little later than we do.
const guardInterval, alertInterval, alertPeriod = time.Second, 5 * time.Millisecond, 200 * time.Millisecond

// keepGuard keeps the guard of the master that we are for as long as our reign lasts. It alone sets it: one command is
// under way at a time, and each is decided by what Redis says just before it. So one that timed out has been done, or never
// will be, by the time the next is: a Redis that goes on reads what waits on its old connections before it greets a new one.
func (a *Agent) keepGuard(ctx context.Context, r cluster.Term, lost <-chan struct{}) {
	said, alert, ready := "", time.Time{}, time.Time{}
	odd := cluster.UnknownReplicas{Count: -1}
	for ctx.Err() == nil {
		k, changed := a.known.Watch()
		again := guardInterval
		if time.Now().Before(alert) {
			again = alertInterval
		} else if !odd.Since.IsZero() {
			again = cluster.UnknownReplicaGrace / 3
		}
		if time.Since(ready) >= guardInterval {
			if err := a.emergencyFence.Connect(ctx); err != nil {
				a.Log.Debug("there is no connection for the fence of a frozen redis", "err", err)
			}
			ready = time.Now()
		}
		if k.View.State.Term() == r.Number && k.Operator.Persisted(k.Snapshot, a.Me.ID) {
			moved, err := a.stepGuard(ctx, k, r, &odd)
			switch {
			case moved:
				said = ""
				continue
			case err != nil && ctx.Err() == nil && !errors.Is(err, lock.ErrChanged) && redis.Summary(err) != said:
				a.Log.Warn("the guard could not be kept; trying on", "err", err)
				said = redis.Summary(err)
			}
		}
		select {
		case <-ctx.Done():
		case <-changed:
		case <-lost:
			alert = time.Now().Add(alertPeriod)
		case <-time.After(again):
		}
	}
}

// stepGuard takes one step towards the guard as it should be, and tells whether it took one.
func (a *Agent) stepGuard(ctx context.Context, k snapshot, r cluster.Term, odd *cluster.UnknownReplicas) (bool, error) {
	st, err := a.Redis.Status(ctx)
	if err != nil || !st.Master || st.RunID != r.RunID {
		return false, err
	}
	if cluster.ReplicaFingerprint(st) != cluster.ReplicaFingerprint(k.Health.Status) {
		a.probeSoon() // who is new may not be one of us
		a.links.probeAll()
	}
	members, strangers := cluster.CountReplicas(st, k.View, a.Me.ID, a.links.has, a.Guard)
	*odd = odd.Observe(strangers, time.Now())
	g := cluster.GuardState{Policy: a.Guard, OperatorGuard: k.Operator.MinReplicas, Members: k.View.State.MemberCount(a.Me.ID), Attached: members, UnknownReplicas: odd.Count,
		Published: k.View.State.Guard(), Set: cluster.MinReplicas{Replicas: st.MinReplicas, MaxLag: st.MaxLag}}
	do, to := g.NextStep()
	if do == cluster.GuardDone {
		return false, nil
	}
	// Before a fence is lifted Consul is to confirm that the lock is ours: a challenger that holds it has fenced us rightly.
	if do == cluster.GuardPublish || st.Fenced() {
		s := k.View.State
		if do == cluster.GuardPublish {
			s = s.WithGuard(to)
		}
		v, err := a.Lock.Write(ctx, r.Session, k.View, s)
		if err != nil {
			return false, err
		}
		a.setWritten(v)
	}
	if do == cluster.GuardPublish {
		failpoint.Hit("guard-published")
		return true, nil
	}
	if st.Fenced() && (k.session == nil || k.session.Lease.Left(time.Now()) == 0) {
		return false, lock.ErrLease // this process hung since Consul said so
	}
	if err := a.Redis.SetGuard(ctx, to.Replicas, to.MaxLag); err != nil {
		return false, err
	}
	failpoint.Hit("guard-set")
	if st.Fenced() {
		a.Log.Warn("redis was fenced while it is the master: the fence is lifted", "term", r.Number)
	}
	a.Log.Info("the guard is set", "min_replicas", to.Replicas, "max_lag", to.MaxLag, "was", g.Set.Replicas, "members", g.Members, "attached", g.Attached, "strangers", g.UnknownReplicas)
	a.probeSoon()
	return true, nil
}
