package elect

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"resec/commands/cluster"
	"resec/commands/lock"
	"resec/commands/pace"
	"resec/commands/takeover"
)

// minFenceTime is the least time for fencing. Even after the lease, a master that may have a successor must not stay writable.
// The pause after the lock's holder could not be read is verifyRetry.
const minFenceTime, verifyRetry = 2 * time.Second, time.Second

// holdLock promotes Redis under the lock, and serves until the lock is lost or the context ends. All that it does under the lock
// ends in time with the lease, even if Consul does not answer.
func (e *Election) holdLock(ctx context.Context, s *lock.Session, v cluster.View) error {
	e.observer.Wrote(v)
	e.lease.Store(&s.Lease)
	e.Log.Info("elected; taking over", "event", "elected", "key", e.Lock.Key, "session", s.ID, "term", v.State.Term()+1)
	leased, stop := s.Lease.Context(ctx)
	defer stop()
	held, lose := context.WithCancelCause(leased)
	defer context.AfterFunc(held, func() {
		end := time.Now().Add(s.Lease.Left(time.Now()))
		e.endBy.Store(&end)
	})()
	var watching sync.WaitGroup
	defer watching.Wait()
	defer lose(nil)
	runID := e.known.Load().Health.Status.RunID
	watching.Go(func() { e.watchHolder(held, s, lose) })
	if !e.Child {
		watching.Go(func() { e.watchRedis(held, runID, lose) })
	}
	reg, err := e.serve(held, s, v)
	err = exitError(ctx, held, err)
	lose(nil)
	return errors.Join(err, e.endTerm(context.WithoutCancel(ctx), s, reg, err))
}

// serve promotes Redis, publishes and registers it, and then waits until held ends. A child has ended when serve returns. The
// registration is nil if nothing is registered.
func (e *Election) serve(held context.Context, s *lock.Session, v cluster.View) (*registration, error) {
	v, err := e.promote(held, s, v)
	if err != nil || e.Child {
		return nil, err
	}
	e.observer.Wrote(v)
	var reg *registration
	if e.Registrar != nil {
		reg = e.register(held, s, v.State.Term())
	}
	e.keepPublished(held, s, reg)
	return reg, nil
}

// endTerm undoes what serve did. Its order keeps clients from writing to a master that may have a successor: the check stops
// being passing, Redis is fenced, the lock is released, the service is deregistered.
func (e *Election) endTerm(ctx context.Context, s *lock.Session, reg *registration, cause error) error {
	reg.withdraw()
	why := cluster.WhyLeaving
	if cause != nil {
		why = cause.Error()
	}
	err := e.fence(ctx, why)
	e.background.Wait() // its context has ended with the lock
	e.release(ctx, s, why)
	reg.end()
	return err
}

// exitError returns why the term ended: nil if ctx ended, takeover.ErrLost with its cause if held ended, and err otherwise.
func exitError(ctx, held context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	if cause := context.Cause(held); cause != nil {
		return fmt.Errorf("%w: %w", takeover.ErrLost, cause)
	}
	return err
}

// watchHolder calls lose when our session is lost, or when Consul shows another holder. It confirms the latter with a consistent
// read, because the first view after an outage may be older than our acquisition. The lease may end during that read.
func (e *Election) watchHolder(ctx context.Context, s *lock.Session, lose context.CancelCauseFunc) {
	for {
		k, changed := e.known.Watch()
		if k.session != s {
			lose(lock.ErrSessionLost)
			return
		}
		var retry <-chan time.Time
		if k.Fresh && (k.View.WentBack || k.View.Session != s.ID) {
			v, err := e.observer.Read(ctx)
			if err == nil && v.WentBack {
				v, err = e.takeBack(ctx, s, v)
			}
			if err == nil && v.Session != s.ID {
				lose(fmt.Errorf("%s is held by %s", e.Lock.Key, cmp.Or(v.Holder, "no session")))
				return
			}
			retry = time.After(verifyRetry)
		}
		select {
		case <-ctx.Done():
			return
		case <-retry:
		case <-changed:
		}
	}
}

// takeBack writes the newest state back, and takes the lock, after Consul went back in time to another holder. If the newest
// state names another master it changes nothing. It returns the lock as it is then.
func (e *Election) takeBack(ctx context.Context, s *lock.Session, v cluster.View) (cluster.View, error) {
	if m := v.State.Master; m == nil || m.ID != e.Me.ID {
		return v, nil
	}
	after, err := e.Lock.Repair(ctx, v, &lock.Holder{Member: e.Me.ID, Session: s.ID})
	if err == nil {
		e.Log.Warn("consul went back in time: the newest state is written back, and the lock is ours", "event", "lock_taken_back",
			"key", e.Lock.Key, "term_in_consul", v.ConsulTerm, "term", after.State.Term())
		e.observer.Wrote(after)
		if e.Registrar != nil {
			e.Registrar.Compare()
		}
	}
	return after, err
}

// watchRedis calls lose when our Redis is no longer the instance that this term promotes.
func (e *Election) watchRedis(ctx context.Context, runID string, lose context.CancelCauseFunc) {
	for {
		k, changed := e.known.Watch()
		if err := k.redisLost(runID); err != nil {
			lose(err)
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-changed:
		}
	}
}

// release releases the lock if our session still holds it. If that fails, the end of the session frees it.
func (e *Election) release(ctx context.Context, s *lock.Session, why string) {
	ctx, cancel := e.stop.within(ctx, pace.Calls(ctx, 2), callsEnd, minCallTimeout)
	defer cancel()
	v, err := e.Lock.Read(ctx)
	if err == nil && v.Session == s.ID {
		err = e.Lock.Release(ctx, s.ID, v, why)
	}
	if err != nil {
		e.Log.Warn("cannot release the lock; destroying its session, which frees it", "event", "release_failed", "key", e.Lock.Key,
			"session", s.ID, "err", err)
	}
}
