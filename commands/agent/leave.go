package agent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"resec/commands/cluster"
	"resec/commands/failpoint"
	"resec/commands/lock"
	"resec/handlers/redis"
)

const (
	// shutdownBudget bounds what a leaving agent does before its last calls to Consul, from when it is told to. Nomad kills after 5 s, docker
	// after 10, if it is not told otherwise: partFor + byeFor, and half a second for those who ask by HTTP, are less.
	shutdownBudget = 3200 * time.Millisecond
	// handoverBudget bounds a handover; what is left of partFor is for the guard of a master that stays.
	handoverBudget = 2700 * time.Millisecond
	// consulProbeTimeout is how soon Consul has to answer for that. One that is away makes leaving shorter, not longer.
	consulProbeTimeout = time.Second
	// successorTimeout bounds the wait until a successor has made our Redis its replica.
	successorTimeout = time.Second
	// removeGuardTimeout bounds the time in which the guard is taken off a master that stays.
	removeGuardTimeout = 2 * time.Second
	// finalCallTimeout is what the last calls to Consul have, which are made at once, and what is left of partFor with it.
	finalCallTimeout = 1200 * time.Millisecond
)

// shutdownContext is a context for what is done before this agent has left, which it outlives by no more than that.
func (a *Agent) shutdownContext(ctx context.Context) (context.Context, context.CancelFunc) {
	told := time.Now()
	if t := a.stopRequestedAt.Load(); t != nil {
		told = *t
	}
	end := told.Add(shutdownBudget)
	if least := time.Now().Add(minCallTimeout); end.Before(least) { // our own Redis, where it answers, needs no more to be left well
		end = least
	}
	return context.WithDeadline(context.WithoutCancel(ctx), end)
}

// finalCallTimeout is how long a last call to Consul may take.
func (a *Agent) finalCallTimeout() time.Duration {
	if t := a.stopRequestedAt.Load(); t != nil {
		return max(finalCallTimeout, shutdownBudget+finalCallTimeout-time.Since(*t))
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

// minCallTimeout is what a Consul that answers has for one call, whatever time is left.
const minCallTimeout = 200 * time.Millisecond

// handOverAndRelease hands mastership over before the agent goes: the lock is passed to the best replica's agent, which takes over as it
// would from any master that answers. Where nobody can have it our Redis stays writable, and the lock is given back.
//
// An error: the lock was lost before it was passed.
func (a *Agent) handOverAndRelease(ctx context.Context, s *lock.Session, r cluster.Term) error {
	ctx, done := a.shutdownContext(ctx)
	defer done()
	end, _ := ctx.Deadline()
	hand, cancel := context.WithDeadline(ctx, end.Add(handoverBudget-shutdownBudget))
	defer cancel()
	failpoint.Hit("leaving")
	away := a.consulError(ctx)
	if k := a.known.Load(); away == nil && k.Paused {
		a.Log.Warn("mastership is not handed over: the cluster is " + k.View.Pause.String())
		a.leaveWritable(ctx, s, nil)
		a.release(ctx, remaining(ctx), s.ID, cluster.WhyLeaving, "the agent leaves")
		return nil
	}
	if away != nil {
		a.Log.Warn("mastership is not handed over: consul does not answer", "err", away)
		a.leaveWritable(ctx, s, away)
		return nil
	}
	to, err := a.handOver(hand, s, r)
	switch {
	case err == nil && to != "":
		failpoint.Hit("handed")
		a.Log.Info("mastership is handed over", "to", to)
		return nil
	case errors.Is(err, errNotOurs):
		return err
	case err != nil:
		a.Log.Warn("mastership could not be handed over", "to", to, "err", err)
		away := err
		if !errors.Is(err, errConsulDown) {
			away = a.consulError(ctx)
		}
		if away != nil { // by now: do not stay for it
			a.leaveWritable(ctx, s, away)
			return nil
		}
	default:
		a.Log.Warn("nobody can be handed mastership; redis stays a master", "redis", a.Redis.Addr())
	}
	a.leaveWritable(ctx, s, nil)
	a.release(ctx, remaining(ctx), s.ID, cause(a.known.Load()), "the agent leaves")
	failpoint.Hit("released")
	return nil
}

var errConsulDown = errors.New("consul does not answer any more")

// consulError is why Consul does not answer, although it is asked again: an error that comes at once may be an election of its own.
func (a *Agent) consulError(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, consulProbeTimeout)
	defer cancel()
	for {
		_, err := a.Lock.Read(ctx)
		if err == nil || ctx.Err() != nil || redis.Refused(err) {
			return err
		}
		select {
		case <-ctx.Done():
		case <-time.After(minSessionRetry):
		}
	}
}

// leaveWritable takes the guard off a master that is left without an agent, if nobody else has the lock: in Consul first, for a
// challenger counts on what is published. With Consul away, and that is why, the guard stays.
func (a *Agent) leaveWritable(ctx context.Context, s *lock.Session, away error) {
	ctx, cancel := context.WithTimeout(ctx, removeGuardTimeout)
	defer cancel()
	k := a.known.Load()
	st, err := a.Redis.Status(ctx)
	switch {
	case err == nil && !a.guardDiffers(k, st), redis.Refused(err):
		return // there is nothing of ours on it, or it is gone
	case err == nil && away == nil:
		for err = lock.ErrChanged; errors.Is(err, lock.ErrChanged) && ctx.Err() == nil; { // the session may be lost at any moment
			err = a.removeGuard(ctx, k, s, st.RunID)
		}
	case err == nil:
		err = errors.Join(away, a.clearStallFence(ctx, k, st))
	}
	if err != nil {
		a.logGuardLeft(err)
	}
}

// logGuardLeft remembers that our Redis may keep a guard of ours: the member's key is to tell the next agent what the operator had.
func (a *Agent) logGuardLeft(why error) {
	a.guardLeftBehind.Store(true)
	a.Log.Error("redis may be left with a guard of ours, or a fence, that nobody lowers until an agent is back", "redis", a.Redis.Addr(), "err", why)
}

// guardDiffers tells whether our Redis has another guard than its operator's.
func (a *Agent) guardDiffers(k snapshot, st redis.Status) bool {
	return k.Operator.RunID == st.RunID && (cluster.MinReplicas{Replicas: st.MinReplicas, MaxLag: st.MaxLag}) != k.Operator.MinReplicas
}

func (a *Agent) removeGuard(ctx context.Context, k snapshot, s *lock.Session, run string) error {
	s, v, end, err := a.reacquire(ctx, s, run)
	defer end()
	if err != nil {
		return err
	}
	if v, err = a.Lock.Write(ctx, s.ID, v, v.State.WithGuard(k.Operator.Effective())); errors.Is(err, lock.ErrChanged) {
		return err // tried again, before anybody else has the lock
	} else if err == nil {
		err = a.restoreSettings(ctx, k.Operator)
	}
	if free := a.Lock.Release(ctx, s.ID, v, cluster.WhyLeaving); !errors.Is(free, lock.ErrChanged) { // or it was lost by itself
		err = errors.Join(err, free)
	}
	return err
}

// reacquire is the lock under our session, where that holds it, or under another, where it is free: ours may have been lost just
// now. It waits for a lock that is held for a session of ours that is no more. What it returns ends the session that it made.
func (a *Agent) reacquire(ctx context.Context, s *lock.Session, run string) (_ *lock.Session, v cluster.View, end func(), err error) {
	end = func() {}
	var fresh *lock.Session
	for {
		v, err = a.Lock.Read(ctx)
		if err == nil && v.Free() && fresh == nil {
			if fresh, err = lock.NewSession(context.WithoutCancel(ctx), a.Lock.Client, lock.SessionOptions{Name: a.Session.Name, TTL: a.Session.TTL}); err == nil {
				end = func() {
					bye, cancel := context.WithTimeout(context.WithoutCancel(ctx), finalCallTimeout)
					defer cancel()
					_ = fresh.Destroy(bye)
				}
			}
		}
		if err == nil && v.Free() {
			v, err = a.Lock.Acquire(ctx, fresh.ID, v, v.State)
		}
		m := v.State.Master
		switch {
		case err != nil: // tried again
		case m == nil || m.RunID != run || !v.Free() && v.Holder != a.Me.ID:
			return nil, v, end, fmt.Errorf("the lock is held by %q, who counts on it, or the state names another", v.Holder)
		case fresh != nil && v.Session == fresh.ID:
			return fresh, v, end, nil
		case s != nil && v.Session == s.ID:
			return s, v, end, nil
		}
		select {
		case <-ctx.Done():
			return nil, v, end, errors.Join(ctx.Err(), err)
		case <-time.After(minSessionRetry):
		}
	}
}

// cause says why a leaving agent gives the lock back.
func cause(k snapshot) string {
	if redis.Refused(k.Health.Err) {
		return cluster.WhyDead
	}
	return cluster.WhyLeaving
}
