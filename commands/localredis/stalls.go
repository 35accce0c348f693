package localredis

import (
	"context"
	"fmt"
	"time"

	"resec/commands/cluster"
	"resec/commands/known"
	"resec/commands/logonce"
	"resec/handlers/redis"
)

// RunStalls fences Redis, if it is the published master, when this process has not run for longer than StallLimit. The machine
// stalled, and Redis with it, so another member may be the master by now. If the network to the replicas is cut, Redis itself
// does not see that they have left. The fence is tried until it is set. The guard's keeper unfences Redis once Consul confirms
// the lock. If Consul is down, unfenceAfterStall does. RunStalls returns when the context ends.
func (f *Fencer) RunStalls(ctx context.Context) {
	var s stallWatch
	var failure logonce.Once
	for last := time.Now(); ctx.Err() == nil; last = time.Now() {
		select {
		case <-ctx.Done():
		case <-time.After(cluster.StallCheckInterval):
		}
		var err error
		if s, err = f.checkStall(ctx, s, time.Since(last)); err == nil {
			failure.Reset()
		} else if ctx.Err() == nil && failure.Changed(redis.Summary(err)) {
			f.Log.Error("the fence of redis after a stall of this process cannot be changed, retrying", "event", "stall_fence_failed",
				"redis", f.Redis.Addr(), "err", err)
		}
	}
}

// stallWatch is when a stall ended that still needs a fence, and when one ended that has it; zero: there is none.
type stallWatch struct{ stalled, fenced time.Time }

// stallMove is what the end of a stall needs next.
type stallMove int

const (
	stallOver    stallMove = iota // nothing: there is no stall, or it needs no fence
	forgetStall                   // our Redis is not a master that another member could take over from
	fenceStall                    // the fence is not set yet
	unfenceStall                  // if enough replicas have acknowledged since
)

// next decides by a snapshot.
func (s stallWatch) next(k known.Snapshot) stallMove {
	m := k.View.State.Master
	// No member takes over early from an unreachable master without a guard.
	if m == nil || m.RunID != k.Health.Status.RunID || m.Guard <= 0 {
		return forgetStall
	}
	if k.Paused { // no member takes over meanwhile
		return stallOver
	}
	if !s.stalled.IsZero() {
		return fenceStall
	}
	if !s.fenced.IsZero() {
		return unfenceStall
	}
	return stallOver
}

// checkStall acts on what is known of stalls, after this process did not run for that long.
func (f *Fencer) checkStall(ctx context.Context, s stallWatch, stall time.Duration) (stallWatch, error) {
	if stall >= f.StallLimit {
		s.stalled = time.Now()
		f.Log.Warn("this process stalled; if redis is the master it is fenced until consul or its replicas confirm that",
			"event", "process_stalled", "redis", f.Redis.Addr(), "took", stall.Round(time.Millisecond))
	}
	k := f.Known.Load()
	switch s.next(k) {
	case forgetStall:
		if err := f.Redis.forgetFence(ctx, fencedForStall); err != nil {
			return s, err
		}
		return stallWatch{}, nil
	case fenceStall:
		if err := f.Redis.fence(ctx, fencedForStall); err != nil {
			return s, fmt.Errorf("fence: %w", err)
		}
		f.Fenced(k.View.State.Master.Term, "this process stalled")
		return stallWatch{fenced: s.stalled}, nil
	case unfenceStall:
		unfenced, err := f.unfenceAfterStall(ctx, k, s.fenced)
		if unfenced {
			s.fenced = time.Time{}
		}
		return s, err
	}
	s.stalled = time.Time{}
	return s, nil
}

// unfenceAfterStall unfences Redis after a stall that ended at that time, if as many members have acknowledged since as the
// published guard counts. Then no challenger can have gathered the detached members that it needs. It reports whether Redis is no
// longer fenced.
func (f *Fencer) unfenceAfterStall(ctx context.Context, k known.Snapshot, ended time.Time) (bool, error) {
	st, err := f.Redis.Status(ctx)
	if err != nil {
		return false, err
	}
	if !st.Fenced() || !st.Master {
		return true, f.Redis.forgetFence(ctx, fencedForStall)
	}
	members, _ := cluster.CountReplicas(cluster.AckedSince(st, ended, time.Now()), k.View, f.ID, f.Streams, f.Guard)
	if members < k.View.State.Guard().Replicas {
		return false, nil
	}
	unfenced, err := f.Redis.unfence(ctx, fencedForStall)
	if err != nil {
		return false, fmt.Errorf("unfence: %w", err)
	}
	if unfenced {
		f.Log.Warn("enough replicas have acknowledged since this process stalled; redis is unfenced",
			"event", "unfenced_after_stall", "redis", f.Redis.Addr())
	}
	return true, nil
}
