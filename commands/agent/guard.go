package agent

import (
	"context"
	"errors"
	"time"

	"resec/commands/crash"
	"resec/commands/lock"
	"resec/handlers/redis"
)

// guardEvery is how often the guard is looked at: Redis itself looks at the lag of its replicas once a second. After a
// replica's connection has ended it is alertEvery, for alertFor: Redis may notice a little later than we do.
const guardEvery, alertEvery, alertFor = time.Second, 5 * time.Millisecond, 200 * time.Millisecond

// keepGuard keeps the guard of the master that we are for as long as our reign lasts. It alone sets it: one command is
// under way at a time, and each is decided by what Redis says just before it. So one that timed out has been done, or never
// will be, by the time the next is: a Redis that goes on reads what waits on its old connections before it greets a new one.
func (a *Agent) keepGuard(ctx context.Context, r reign, lost <-chan struct{}) {
	said, alert, ready := "", time.Time{}, time.Time{}
	odd := strange{n: -1}
	for ctx.Err() == nil {
		k, changed := a.board.Wait()
		again := guardEvery
		if time.Now().Before(alert) {
			again = alertEvery
		} else if !odd.since.IsZero() {
			again = strangeFor / 3
		}
		if time.Since(ready) >= guardEvery {
			if err := a.testament.Ready(ctx); err != nil {
				a.Log.Debug("there is no connection for the fence of a frozen redis", "err", err)
			}
			ready = time.Now()
		}
		if k.view.State.Term() == r.term && k.found.noted(k, a.Me.ID) {
			moved, err := a.guard(ctx, k, r, &odd)
			switch {
			case moved:
				said = ""
				continue
			case err != nil && ctx.Err() == nil && !errors.Is(err, lock.ErrMoved) && redis.Why(err) != said:
				a.Log.Warn("the guard could not be kept; trying on", "err", err)
				said = redis.Why(err)
			}
		}
		select {
		case <-ctx.Done():
		case <-changed:
		case <-lost:
			alert = time.Now().Add(alertFor)
		case <-time.After(again):
		}
	}
}

// guard takes one step towards the guard as it should be, and tells whether it took one.
func (a *Agent) guard(ctx context.Context, k known, r reign, odd *strange) (bool, error) {
	st, err := a.Redis.Status(ctx)
	if err != nil || !st.Master || st.RunID != r.run {
		return false, err
	}
	if replicas(st) != replicas(k.health.Status) {
		a.glance() // who is new may not be one of us
		a.linked.ask()
	}
	members, strangers := attached(st, k.view, a.Me.ID, a.linked.has, a.Guard)
	*odd = odd.next(strangers, time.Now())
	g := lock.Guarding{Policy: a.Guard, Own: k.found.Setting, Members: k.view.State.Size(a.Me.ID), Attached: members, Strangers: odd.n,
		Published: k.view.State.Guard(), Set: lock.Setting{Replicas: st.MinReplicas, MaxLag: st.MaxLag}}
	do, to := g.Next()
	if do == lock.GuardKeep {
		return false, nil
	}
	// Before a fence is lifted Consul is to confirm that the lock is ours: a challenger that holds it has fenced us rightly.
	if do == lock.GuardPublish || st.Fenced() {
		s := k.view.State
		if do == lock.GuardPublish {
			s = s.Guarded(to)
		}
		v, err := a.Lock.Write(ctx, r.session, k.view, s)
		if err != nil {
			return false, err
		}
		a.wrote(v)
	}
	if do == lock.GuardPublish {
		crash.At("guard-published")
		return true, nil
	}
	if st.Fenced() && (k.session == nil || k.session.Lease.Left(time.Now()) == 0) {
		return false, lock.ErrLease // this process hung since Consul said so
	}
	if err := a.Redis.SetGuard(ctx, to.Replicas, to.MaxLag); err != nil {
		return false, err
	}
	crash.At("guard-set")
	if st.Fenced() {
		a.Log.Warn("redis was fenced while it is the master: the fence is lifted", "term", r.term)
	}
	a.Log.Info("the guard is set", "min_replicas", to.Replicas, "max_lag", to.MaxLag, "was", g.Set.Replicas, "members", g.Members, "attached", g.Attached, "strangers", g.Strangers)
	a.glance()
	return true, nil
}
