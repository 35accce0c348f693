package agent

import (
	"context"
	"time"

	"resec/commands/cluster"
	"resec/commands/lock"
)

// fenceWithoutLease fences the master that we are, or still are, when the last lease under which we held the lock is over, where there is
// no guard to close it. Once Consul is back, and the lock ours, the guard's keeper lifts that.
func (a *Agent) fenceWithoutLease(ctx context.Context) {
	if a.Guard.Replicas != cluster.GuardOff {
		return
	}
	var lease lock.Lease
	for armed := false; ctx.Err() == nil; {
		k, changed := a.known.Watch()
		if s := k.session; s != nil && k.View.Session == s.ID && s.Lease.Left(time.Now()) > 0 {
			lease, armed = s.Lease, true
		}
		left := lease.Left(time.Now())
		if armed && left == 0 && !k.Paused {
			armed = !a.fenceOnLeaseEnd(ctx)
		}
		var end <-chan time.Time
		if armed {
			end = time.After(max(left, alertPeriod))
		}
		select {
		case <-ctx.Done():
		case <-changed:
		case <-end:
		}
	}
}

// fenceOnLeaseEnd fences our Redis if it is a master, and tells whether that is done.
func (a *Agent) fenceOnLeaseEnd(ctx context.Context) bool {
	st, err := a.Redis.Status(ctx)
	if err == nil && (!st.Master || st.Fenced()) {
		return true
	}
	if err == nil {
		err = a.Redis.Fence(ctx)
	}
	if err != nil {
		a.Log.Error("the lease is over, and redis could not be fenced", "err", err)
		return false
	}
	a.Log.Warn("the lease is over, and there is no guard: redis is fenced")
	a.notifyFenced(a.known.Load().View.State.Term(), "the lease is over")
	a.probeSoon()
	return true
}
