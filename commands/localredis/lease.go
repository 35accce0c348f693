package localredis

import (
	"context"
	"time"

	"resec/commands/cluster"
	"resec/commands/known"
	"resec/commands/logonce"
	"resec/handlers/redis"
)

// leaseFenceRetry is the pause before the fence at the end of the lease is tried again, and the shortest wait for that end.
const leaseFenceRetry = 200 * time.Millisecond

// RunLease fences our Redis while it is the master, when the last lease under which we held the lock is over. It does so only if
// there is no guard that would close our Redis. The guard's keeper unfences our Redis once the lock is ours again. RunLease
// returns when the context ends. With a guard it returns at once.
func (f *Fencer) RunLease(ctx context.Context) {
	if f.Guard.Replicas != cluster.GuardOff {
		return
	}
	var w leaseWatch
	var failure logonce.Once
	for ctx.Err() == nil {
		k, changed := f.Known.Watch()
		var left time.Duration
		if w, left = w.next(k, time.Now()); w.due(left, k) {
			w.armed = !f.fenceMaster(ctx, &failure)
		}
		var end <-chan time.Time
		if w.armed {
			end = time.After(max(left, leaseFenceRetry))
		}
		select {
		case <-ctx.Done():
		case <-changed:
		case <-end:
		}
	}
}

// leaseWatch is what RunLease remembers.
type leaseWatch struct {
	held  known.Snapshot // the last one in which our session held the lock
	armed bool           // our Redis is to be fenced when the lease of that session is over
}

// next takes a snapshot, and returns what is left of the lease; 0: it is over, or never began.
func (w leaseWatch) next(k known.Snapshot, now time.Time) (leaseWatch, time.Duration) {
	if k.HoldsLock() && k.LeaseLeft(now) > 0 {
		w.held, w.armed = k, true
	}
	return w, w.held.LeaseLeft(now)
}

// due reports whether our Redis is to be fenced now. In a pause it is not: no member takes over meanwhile.
func (w leaseWatch) due(left time.Duration, k known.Snapshot) bool {
	return w.armed && left == 0 && !k.Paused
}

// fenceMaster fences our Redis if it is a master, and reports whether that is done.
func (f *Fencer) fenceMaster(ctx context.Context, failure *logonce.Once) bool {
	fenced, err := f.Redis.fenceIfWritable(ctx, fencedForLease)
	if err != nil {
		if ctx.Err() == nil && failure.Changed(redis.Summary(err)) {
			f.Log.Error("lease is over and redis cannot be fenced, retrying", "event", "lease_fence_failed",
				"redis", f.Redis.Addr(), "err", err)
		}
		return false
	}
	failure.Reset()
	if !fenced {
		return true
	}
	f.Log.Warn("lease is over and GUARD=off; redis is fenced until the lock is ours again", "event", "lease_over_fenced",
		"redis", f.Redis.Addr())
	f.Fenced(f.Known.Load().View.State.Term(), "the lease is over")
	return true
}
