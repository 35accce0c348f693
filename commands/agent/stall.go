package agent

import (
	"context"
	"time"

	"resec/handlers/redis"
)

// stallCheckInterval is how often this process looks whether it runs.
const stallCheckInterval = 200 * time.Millisecond

// stallLimit is for how long it may not have run without a consequence.
//
// Redis closes at MaxLag + 2.1 s after the cut, and after a hang later by as long as it hung, and by a second, for it counts
// its own rounds. A challenger opens at the end of the session, which is 1.5 intervals after the cut at the soonest, plus
// MaxLag + 2.5 s. So what hung for less than 1.5 intervals - 0.6 s closes before. And never more than half of the lag. An early
// one (silent: what takes it to call the master silent; 0: there is none) opens so long after the cut, plus MaxLag + 2.5 s +
// hangs: what hung for less than silent + hangs - 0.6 s closes before.
func stallLimit(maxLag, interval, silent time.Duration) time.Duration {
	limit := min(maxLag/2, interval*3/2-700*time.Millisecond)
	if silent > 0 {
		limit = min(limit, max(silent-700*time.Millisecond, 800*time.Millisecond))
	}
	return max(5*stallCheckInterval/2, limit)
}

// stallAllowance is how much longer than for its guard a challenger waits that has looked on since it called the master silent, so that a
// master closes before that hung for less than its limit.
func stallAllowance(maxLag, interval, silent time.Duration) time.Duration {
	if silent == 0 {
		return 0
	}
	return max(0, stallLimit(maxLag, interval, silent)+700*time.Millisecond-silent)
}

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
	limit := stallLimit(time.Duration(a.Guard.MaxLag)*time.Second, a.Registrar.Interval, a.detectionTime())
	var over, fenced time.Time // when a gap ended that needs a fence; when one ended that has it
	for last := time.Now(); ctx.Err() == nil; last = time.Now() {
		select {
		case <-ctx.Done():
		case <-time.After(stallCheckInterval):
		}
		if gap := time.Since(last); gap >= limit {
			over = time.Now()
			a.Log.Warn("this process hung: redis, if it is the master, is fenced until consul or its replicas have answered", "for", gap.Round(time.Millisecond))
		}
		k := a.known.Load()
		m, st := k.view.State.Master, k.health.Status
		ours := m != nil && m.RunID == st.RunID && m.Guard > 0 // from a silent master without a guard nobody takes over
		switch {
		case !ours:
			over, fenced = time.Time{}, time.Time{}
			a.stallFenced.Store(false)
		case k.paused: // nobody takes over meanwhile
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
	if members, _ := countReplicas(ackedSince(st, then), k.view, a.Me.ID, a.links.has, a.Guard); members < k.view.State.Guard().Replicas {
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
	m := k.view.State.Master
	if !a.stallFenced.Load() || !st.Master || !st.Fenced() || m == nil || m.RunID != st.RunID {
		return nil
	}
	g := k.view.State.Guard()
	return a.Redis.SetGuard(ctx, g.Replicas, g.MaxLag)
}

// ackedSince is a status with those replicas alone that have acknowledged after a time; Redis counts whole seconds.
func ackedSince(st redis.Status, then time.Time) redis.Status {
	var out []redis.Replica
	for _, r := range st.Replicas {
		if time.Since(then) > time.Duration(r.Lag+1)*time.Second {
			out = append(out, r)
		}
	}
	st.Replicas = out
	return st
}
