package agent

import (
	"cmp"
	"context"
	"errors"
	"sync/atomic"
	"time"

	"resec/commands/cluster"
	"resec/commands/failpoint"
	"resec/commands/known"
	"resec/commands/lock"
	"resec/commands/watch"
	"resec/handlers/redis"
)

// The budget of a stop. Nomad kills after 5 s and docker after 10, unless they are configured otherwise.
const (
	killAfter = 5 * time.Second // Nomad's kill_timeout
	// shutdownBudget bounds what the agent does before its last calls to Consul, from when it was asked to stop.
	shutdownBudget = 3200 * time.Millisecond
	// handoverBudget bounds a handover; the rest of shutdownBudget is for the guard of a master that stays.
	handoverBudget = 2700 * time.Millisecond
	// finalCallTimeout bounds the last calls to Consul, which are made at once; what is left of shutdownBudget is added.
	finalCallTimeout = 1200 * time.Millisecond

	consulProbeTimeout = time.Second // for Consul to answer during a stop: if it is down, the stop is shorter, not longer
	successorTimeout   = time.Second // for a successor to make our Redis its replica
	removeGuardTimeout = 2 * time.Second
	minCallTimeout     = 200 * time.Millisecond // for one call to a Consul that answers, whatever time is left
)

const (
	_ = uint(killAfter - shutdownBudget - finalCallTimeout) // the rest is for requests by HTTP that are under way
	_ = uint(shutdownBudget - handoverBudget)
)

// shutdown is one stop of the agent: when it was requested, and what it leaves behind.
type shutdown struct {
	asked       context.Context           // the agent's, which ends when it is asked to stop; nil: it never is
	requestedAt atomic.Pointer[time.Time] // nil: not yet
	// A guard of ours, or a fence, stays on Redis: the member key has what the operator had.
	guardLeftBehind atomic.Bool
}

// request notes that the agent was asked to stop, now.
func (s *shutdown) request() {
	now := time.Now()
	s.requestedAt.Store(&now)
}

// requested reports whether the agent was asked to stop.
func (s *shutdown) requested() bool { return s.requestedAt.Load() != nil }

// context is a context for what is done before the agent has stopped. It ends with shutdownBudget.
func (s *shutdown) context(ctx context.Context) (context.Context, context.CancelFunc) {
	begin := time.Now()
	if at := s.requestedAt.Load(); at != nil {
		begin = *at
	}
	end := begin.Add(shutdownBudget)
	if least := time.Now().Add(minCallTimeout); end.Before(least) { // our own Redis, if it answers, needs no more
		end = least
	}
	return context.WithDeadline(context.WithoutCancel(ctx), end)
}

// bounded is a context that outlasts ctx by at most within. A stop shortens it to what is left of shutdownBudget.
func (s *shutdown) bounded(ctx context.Context, within time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), within)
	if s.asked == nil {
		return ctx, cancel
	}
	unhook := context.AfterFunc(s.asked, func() { time.AfterFunc(s.left(), cancel) })
	return ctx, func() { unhook(); cancel() }
}

// left is what is left of shutdownBudget.
func (s *shutdown) left() time.Duration {
	at := s.requestedAt.Load()
	if at == nil {
		return shutdownBudget
	}
	return max(minCallTimeout, shutdownBudget-time.Since(*at))
}

// finalCallTimeout is how long a last call to Consul may take.
func (s *shutdown) finalCallTimeout() time.Duration {
	if at := s.requestedAt.Load(); at != nil {
		return max(finalCallTimeout, shutdownBudget+finalCallTimeout-time.Since(*at))
	}
	return finalCallTimeout
}

// remaining is what is left of a context for one call to Consul: never less than a call takes.
func remaining(ctx context.Context) time.Duration {
	end, ok := ctx.Deadline()
	if !ok {
		return consulProbeTimeout
	}
	return min(consulProbeTimeout, max(time.Until(end), minCallTimeout))
}

// handOverAndRelease hands mastership over before the agent stops: the lock is transferred to the best replica's agent, which
// takes over as it would from any master that answers. Without a successor our Redis stays writable, without a guard, and the
// lock is released.
//
// It returns lock.ErrNotHolder if the lock was lost before it was transferred.
func (c *controller) handOverAndRelease(ctx context.Context, s *lock.Session, term cluster.Term) error {
	a := c.a
	ctx, done := a.shutdown.context(ctx)
	defer done()
	end, _ := ctx.Deadline()
	handoverCtx, cancel := context.WithDeadline(ctx, end.Add(handoverBudget-shutdownBudget))
	defer cancel()
	failpoint.Hit("leaving")
	if down := a.consulError(handoverCtx); down != nil {
		a.Log.Warn("mastership is not handed over because consul cannot be asked; redis stays as it is",
			"event", "handover_impossible", "redis", a.local.Addr(), "err", down)
		c.leaveWritable(ctx, s, down)
		return nil
	}
	if k := a.known.Load(); k.Paused {
		a.Log.Warn("mastership is not handed over because the cluster is paused; redis stays master", "event", "handover_paused",
			"redis", a.local.Addr(), "until", k.View.Pause.Until)
		c.leaveWritable(ctx, s, nil)
		a.release(ctx, remaining(ctx), s.ID, cluster.WhyLeaving, "the agent leaves")
		return nil
	}
	to, err := c.handOver(handoverCtx, s, term)
	if err == nil && to != "" {
		failpoint.Hit("handed")
		a.Log.Info("mastership is handed over", "event", "handed_over", "to", to)
		return nil
	}
	if errors.Is(err, lock.ErrNotHolder) {
		return err
	}
	if err == nil {
		a.Log.Warn("no member can take mastership over; redis stays master, and its guard is to be removed", "event", "no_successor",
			"redis", a.local.Addr())
	} else if down := c.handoverFailed(ctx, to, err); down != nil {
		c.leaveWritable(ctx, s, down)
		return nil
	}
	c.leaveWritable(ctx, s, nil)
	why := stopCause(a.known.Load())
	if why == cluster.WhyDead {
		why = a.confirmDead(ctx, term.RunID)
	}
	a.release(ctx, remaining(ctx), s.ID, why, "the agent leaves")
	failpoint.Hit("released")
	return nil
}

// handoverFailed logs why mastership could not be handed over, and returns an error if that is because Consul is down by now.
func (c *controller) handoverFailed(ctx context.Context, to string, err error) (down error) {
	c.a.Log.Warn("handover failed; redis stays master, and its guard is to be removed", "event", "handover_failed",
		"to", to, "err", err)
	if errors.Is(err, errConsulDown) {
		return err
	}
	return c.a.consulError(ctx)
}

// stopCause says why an agent that stops releases the lock.
func stopCause(k known.Snapshot) string {
	if redis.Refused(k.Health.Err) {
		return cluster.WhyDead
	}
	return cluster.WhyLeaving
}

var errConsulDown = errors.New("consul does not answer any more")

// consulError is why Consul does not answer for consulProbeTimeout, although it is asked again: an error that comes at once may
// be an election of Consul's own. A Consul that limits the rate is up, and is asked as long as the context lasts.
func (a *Agent) consulError(ctx context.Context) error {
	var limited error // the last answer that says so
	for silentSince := time.Now(); ; {
		probe, cancel := context.WithDeadline(ctx, silentSince.Add(consulProbeTimeout))
		_, err := a.Lock.Read(probe)
		cancel()
		if lock.RateLimited(err) {
			limited, silentSince = err, time.Now()
		}
		switch {
		case err == nil, lock.Refused(err), time.Since(silentSince) >= consulProbeTimeout:
			return err
		case ctx.Err() != nil:
			return cmp.Or(limited, err)
		}
		watch.Sleep(ctx, finalCallRetry)
	}
}

// leaveWritable removes our guard from a master that stays without an agent, unless another member holds the lock. It changes
// Consul first, because challengers rely on the published guard. If down says that Consul is down, the guard stays.
func (c *controller) leaveWritable(ctx context.Context, s *lock.Session, down error) {
	a := c.a
	ctx, cancel := context.WithTimeout(ctx, removeGuardTimeout)
	defer cancel()
	k := a.known.Load()
	st, err := a.local.Status(ctx)
	if redis.Refused(err) || err == nil && !guardDiffers(k, st) {
		return // there is nothing of ours on it, or it is down
	}
	if err == nil && down != nil {
		err = errors.Join(down, a.clearStallFence(ctx, k))
	} else if err == nil {
		for err = lock.ErrChanged; errors.Is(err, lock.ErrChanged) && ctx.Err() == nil; { // the session may be lost at any moment
			err = c.removeGuard(ctx, k, s, st.RunID)
		}
	}
	if err != nil {
		a.logGuardLeft(err)
	}
}

// clearStallFence unfences, while Consul is down, a master that is left without an agent and is fenced after a stall.
func (a *Agent) clearStallFence(ctx context.Context, k known.Snapshot) error {
	m := k.View.State.Master
	if m == nil {
		return nil
	}
	return a.local.ClearStallFence(ctx, m.RunID, k.View.State.Guard())
}

// logGuardLeft notes that our Redis may keep a guard of ours.
func (a *Agent) logGuardLeft(why error) {
	if a.shutdown.guardLeftBehind.Swap(true) {
		return // it is logged
	}
	a.Log.Error("stopping without restoring redis; its min-replicas settings stay as resec set them until an agent returns",
		"event", "guard_left_behind", "redis", a.local.Addr(), "err", why)
}

// guardDiffers reports whether our Redis has another guard than its operator's.
func guardDiffers(k known.Snapshot, st redis.Status) bool {
	is := cluster.MinReplicas{Replicas: st.MinReplicas, MaxLag: st.MaxLag}
	return k.Operator.RunID == st.RunID && is != k.Operator.MinReplicas
}
