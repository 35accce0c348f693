package agent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"resec/commands/cluster"
	"resec/commands/failpoint"
	"resec/commands/known"
	"resec/commands/lock"
	"resec/commands/watch"
	"resec/handlers/redis"
)

// restore leaves our Redis as its operator had it: without a fence or a guard of ours. Of a master that was not elected only a
// parked replica is left.
func (c *controller) restore(ctx context.Context) {
	a := c.a
	ctx, cancel := a.shutdown.context(ctx) // a second handover is within it
	defer cancel()
	st, err := c.waitUntilReplica(ctx)
	if err != nil {
		a.notRestored(ctx, err)
		return
	}
	k := a.known.Load()
	if k.Operator.RunID != st.RunID {
		return // it is a new instance, with nothing of ours on it
	}
	k.Health.Status = st
	c.notifyFollowing(k) // a successor, if there is one
	if m := k.View.State.Master; st.Master && m != nil && m.RunID == st.RunID {
		if st, err = c.handOverLate(ctx, k, st); err != nil {
			a.notRestored(ctx, err)
			return
		}
		if st.Master { // it stays one
			if now := a.known.Load(); now.ConsulDown { // otherwise another member may have fenced it
				a.notRestored(ctx, a.clearStallFence(ctx, now))
			}
			return
		}
	}
	if st.Master && st.Fenced() {
		if err := a.local.Park(ctx); err != nil {
			a.notRestored(ctx, fmt.Errorf("park the fenced master: %w", err))
			return
		}
	}
	if guardDiffers(k, st) && (!st.Master || st.Fenced()) {
		if err := a.local.RestoreSettings(ctx, k.Operator.MinReplicas); err != nil {
			a.notRestored(ctx, err)
			return
		}
	}
	failpoint.Hit("restored")
}

// notRestored notes that our Redis may keep settings of ours, unless it is down: it has none of them when it starts again. A
// Redis that ends may cut a connection first, so it is asked once more.
func (a *Agent) notRestored(ctx context.Context, err error) {
	if err == nil || redis.Refused(err) {
		return
	}
	if _, now := a.local.Status(ctx); !redis.Refused(now) {
		a.logGuardLeft(err)
	}
}

// handOverLate is handOverAndRelease for a master whose agent lost its lock just before or after it was asked to stop. It takes
// the lock again for that. It returns our Redis as it is then.
func (c *controller) handOverLate(ctx context.Context, k known.Snapshot, st redis.Status) (redis.Status, error) {
	a := c.a
	if a.shutdown.guardLeftBehind.Load() || !guardDiffers(k, st) {
		return st, nil // all is logged, or done
	}
	short, cancel := context.WithTimeout(ctx, removeGuardTimeout)
	defer cancel()
	s, v, end, kept := c.reacquire(short, k.Session, st.RunID)
	defer end()
	if kept == nil {
		a.observer.Wrote(v)
		term := cluster.Term{ID: a.Me.ID, Session: s.ID, RunID: st.RunID, Index: v.Index, Number: v.State.Term()}
		kept = c.handOverAndRelease(ctx, s, term)
	}
	st, err := c.waitUntilReplica(ctx)
	if err == nil && st.Master && kept != nil {
		a.logGuardLeft(kept)
	}
	return st, err
}

// waitUntilReplica returns our Redis once another member that holds the lock has made it a replica, or when that has taken too
// long, or if there is none.
func (c *controller) waitUntilReplica(ctx context.Context) (redis.Status, error) {
	for end := time.Now().Add(successorTimeout); ; {
		k := c.a.known.Load()
		st, err := c.a.local.Status(ctx)
		if err != nil || c.a.shutdown.guardLeftBehind.Load() || !c.awaitsSuccessor(k, st) || time.Now().After(end) {
			return st, err
		}
		watch.Sleep(ctx, 10*time.Millisecond)
		if ctx.Err() != nil {
			return st, ctx.Err()
		}
	}
}

// awaitsSuccessor reports whether another member holds the lock and has not made our Redis its replica yet.
func (c *controller) awaitsSuccessor(k known.Snapshot, st redis.Status) bool {
	m := k.View.State.Master
	if m == nil || k.View.Free() || k.View.Holder == c.a.Me.ID {
		return false
	}
	follows := !st.Master && st.MasterAddr == m.Address && !st.Fenced()
	return !follows
}

// removeGuard publishes that there is no guard, restores the operator's settings, and releases the lock. lock.ErrChanged: it has
// to be tried again, before another member has the lock.
func (c *controller) removeGuard(ctx context.Context, k known.Snapshot, s *lock.Session, runID string) error {
	s, v, end, err := c.reacquire(ctx, s, runID)
	defer end()
	if err != nil {
		return err
	}
	v, err = c.a.Lock.Write(ctx, s.ID, v, v.State.WithGuard(k.Operator.Effective()))
	if errors.Is(err, lock.ErrChanged) {
		return err
	}
	if err == nil {
		err = c.a.local.RestoreSettings(ctx, k.Operator.MinReplicas)
	}
	free := c.a.Lock.Release(ctx, s.ID, v, cluster.WhyLeaving)
	if free == nil {
		c.a.Log.Info("lock is released", "event", "lock_released", "key", c.a.Lock.Key, "why", "the agent leaves")
	} else if !errors.Is(free, lock.ErrChanged) { // otherwise it was lost by itself
		err = errors.Join(err, free)
	}
	return err
}

// reacquire returns the lock under our session, if that holds it, or under another session, if it is free: ours may have been
// lost just now. An agent that has just started may adopt its predecessor's session meanwhile. It waits for a lock that is held
// by a session of ours that no longer exists. The function that it returns ends the session that it made.
func (c *controller) reacquire(ctx context.Context, s *lock.Session, runID string) (
	_ *lock.Session, v cluster.View, end func(), err error) {
	a, end := c.a, func() {}
	var fresh *lock.Session
	for {
		v, err = a.Lock.Read(ctx)
		if err == nil && v.Free() && fresh == nil {
			// It depends on no check, because the service is about to be deregistered.
			opt := lock.SessionOptions{Name: a.Session.Name, TTL: a.Session.TTL}
			bounded, cancel := a.shutdown.bounded(ctx, finalCallTimeout)
			fresh, err = lock.NewSession(bounded, a.Lock.Client, opt)
			cancel()
			if err == nil {
				end = func() { a.destroySession(ctx, fresh) }
			}
		}
		if err == nil && v.Free() {
			v, err = a.Lock.Acquire(ctx, fresh.ID, v, v.State)
		}
		m, adopted := v.State.Master, a.known.Load().Session
		switch {
		case err != nil: // tried again
		case m == nil:
			return nil, v, end, errors.New("no master is published any more")
		case m.RunID != runID:
			return nil, v, end, fmt.Errorf("the published master is %s now", m.ID)
		case !v.Free() && v.Holder != a.Me.ID:
			return nil, v, end, fmt.Errorf("%q holds the lock and relies on the guard", v.Holder)
		case fresh != nil && v.Session == fresh.ID:
			return fresh, v, end, nil
		case s != nil && v.Session == s.ID:
			return s, v, end, nil
		case adopted != nil && v.Session == adopted.ID:
			return adopted, v, end, nil
		}
		watch.Sleep(ctx, finalCallRetry)
		if ctx.Err() != nil {
			return nil, v, end, errors.Join(ctx.Err(), err)
		}
	}
}

// destroySession ends a session that was made for a stop.
func (a *Agent) destroySession(ctx context.Context, s *lock.Session) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), finalCallTimeout)
	defer cancel()
	if err := s.Destroy(ctx); err != nil {
		a.Log.Warn("cannot destroy the session of the stop; it may hold the lock for up to twice its TTL",
			"event", "stop_session_left", "session", s.ID, "err", err)
	}
}
