package agent

import (
	"context"
	"time"

	"resec/commands/cluster"
	"resec/handlers/redis"
)

// detectionTime is what it takes to call a master silent; 0, where nothing is done about that early.
func (a *Agent) detectionTime() time.Duration {
	if !a.EarlyTakeover {
		return 0
	}
	return time.Duration(a.Probe.Failures) * a.Probe.Timeout
}

// watchStalls fences the master that we are when this process has not run for long: the machine hung, and Redis with it, and
// another may lead by now. Where the way to its replicas is cut Redis itself does not see that they have left. The fence is
// tried until it is set. It is lifted by the guard's keeper once Consul confirms the lock, or where Consul is away by unhung.
func (a *Agent) watchStalls(ctx context.Context) {
	limit := cluster.StallLimit(time.Duration(a.Guard.MaxLag)*time.Second, a.Registrar.Interval, a.detectionTime())
	var over, fenced time.Time // when a gap ended that needs a fence; when one ended that has it
	for last := time.Now(); ctx.Err() == nil; last = time.Now() {
		select {
		case <-ctx.Done():
		case <-time.After(cluster.StallCheckInterval):
		}
		if gap := time.Since(last); gap >= limit {
			over = time.Now()
			a.Log.Warn("this process hung: redis, if it is the master, is fenced until consul or its replicas have answered", "for", gap.Round(time.Millisecond))
		}
		k := a.known.Load()
		m, st := k.View.State.Master, k.Health.Status
		ours := m != nil && m.RunID == st.RunID && m.Guard > 0 // from a silent master without a guard nobody takes over
		switch {
		case !ours:
			over, fenced = time.Time{}, time.Time{}
			a.stallFenced.Store(false)
		case k.Paused: // nobody takes over meanwhile
			over = time.Time{}
		case !over.IsZero():
			a.stallFenced.Store(true) // also where the answer is lost
			if err := a.Redis.Fence(ctx); err == nil {
				over, fenced = time.Time{}, over
				a.probeSoon()
				a.notifyFenced(m.Term, "this process hung")
			}
		case !fenced.IsZero() && a.liftStallFence(ctx, k, fenced):
			fenced = time.Time{}
			a.stallFenced.Store(false)
		}
	}
}

// liftStallFence lifts a fence that stands for a hang which ended then, where as many members have acknowledged since as others count
// on: no challenger can have gathered the rest. It tells whether the fence is gone.
func (a *Agent) liftStallFence(ctx context.Context, k snapshot, then time.Time) bool {
	st, err := a.Redis.Status(ctx)
	if err != nil {
		return false
	}
	if !st.Fenced() || !st.Master {
		return true
	}
	if members, _ := cluster.CountReplicas(cluster.AckedSince(st, then, time.Now()), k.View, a.Me.ID, a.links.has, a.Guard); members < k.View.State.Guard().Replicas {
		return false
	}
	if _, err := a.Redis.Unfence(ctx); err != nil {
		return false
	}
	a.Log.Warn("its replicas have acknowledged since this process hung: the fence is lifted")
	a.probeSoon()
	return true
}

// clearStallFence takes such a fence off a master that is left without an agent, while Consul is away: what others count on is there
// still, and this process no longer hangs.
func (a *Agent) clearStallFence(ctx context.Context, k snapshot, st redis.Status) error {
	m := k.View.State.Master
	if !a.stallFenced.Load() || !st.Master || !st.Fenced() || m == nil || m.RunID != st.RunID {
		return nil
	}
	g := k.View.State.Guard()
	return a.Redis.SetGuard(ctx, g.Replicas, g.MaxLag)
}
