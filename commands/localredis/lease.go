package localredis

import (
	"context"
	"time"

	"resec/commands/cluster"
	"resec/commands/member"
)

// leaseFenceRetry is the pause before the fence at the end of the lease is tried again, and the shortest wait for that end.
const leaseFenceRetry = 200 * time.Millisecond

// RunLease fences the master that we are when the last lease under which we held the lock is over, if there is no guard that
// would close it. The guard's keeper ends the fence once the lock is ours again. RunLease returns when the context ends; with a
// guard it returns at once.
func (f *Fencer) RunLease(ctx context.Context) {
	if f.Guard.Replicas != cluster.GuardOff {
		return
	}
	var held member.Snapshot // the last one in which our session held the lock
	for armed := false; ctx.Err() == nil; {
		k, changed := f.Known.Watch()
		if k.HoldsLock() && k.LeaseLeft(time.Now()) > 0 {
			held, armed = k, true
		}
		left := held.LeaseLeft(time.Now())
		if armed && left == 0 && !k.Paused {
			armed = !f.fenceMaster(ctx)
		}
		var end <-chan time.Time
		if armed {
			end = time.After(max(left, leaseFenceRetry))
		}
		select {
		case <-ctx.Done():
		case <-changed:
		case <-end:
		}
	}
}

// fenceMaster fences our Redis if it is a master, and reports whether that is done.
func (f *Fencer) fenceMaster(ctx context.Context) bool {
	st, err := f.Redis.Status(ctx)
	if err == nil && (!st.Master || st.Fenced()) {
		return true
	}
	if err == nil {
		err = f.Redis.fence(ctx, fencedForLease)
	}
	if err != nil {
		f.Log.Error("lease is over and redis cannot be fenced, retrying", "event", "lease_fence_failed",
			"redis", f.Redis.Addr(), "err", err)
		return false
	}
	f.Log.Warn("lease is over and GUARD=off; redis is fenced until the lock is ours again", "event", "lease_over_fenced",
		"redis", f.Redis.Addr())
	f.Fenced(f.Known.Load().View.State.Term(), "the lease is over")
	return true
}
