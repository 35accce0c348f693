package elect

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/consul/api"

	"resec/commands/catalog"
	"resec/commands/cluster"
	"resec/commands/lock"
	"resec/commands/takeover"
	"resec/handlers"
	"resec/handlers/redis"
)

// runAsHolder is the state in which the lock is ours; leaving it fences, deregisters, and gives the lock back.
func (e *Election) runAsHolder(ctx context.Context, s *lock.Session, v cluster.View) (err error) {
	e.Log.Info("elected", "key", e.Lock.Key, "term", v.State.Term()+1)
	held, lose := context.WithCancelCause(ctx)
	guarded := make(chan struct{})
	go func() {
		defer close(guarded)
		lose(e.watchLock(held, s))
	}()
	unregister := func() {}
	defer func() {
		lose(nil)
		<-guarded
		e.background.Wait()
		err = errors.Join(err, e.fenceAndRelease(context.WithoutCancel(ctx), s, err))
		unregister() // last: Consul may be what is away
	}()
	if v, err = e.promote(held, s, v); err != nil || e.Child {
		return e.exitError(ctx, held, err)
	}
	if e.Registrar != nil {
		unregister = e.register(context.WithoutCancel(ctx), v.State.Term())
	}
	<-held.Done()
	return e.exitError(ctx, held, nil)
}

// register publishes the master service until the function that it returns is called.
func (e *Election) register(ctx context.Context, term uint64) (unregister func()) {
	if err := e.Naming.Demote(ctx, e.Lock.Client, e.Me.Node, e.Me.ServiceID); err != nil {
		e.Log.Warn("old master entries stay in the catalogue", "err", err)
	}
	e.Registrar.Set(catalog.Entry{Role: catalog.Master, Status: api.HealthPassing,
		Output: fmt.Sprintf("master, term %d", term), Meta: catalog.Meta(e.Me.ID, term, e.known.Load().health.Status.Version)})
	ctx, stop := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := e.Registrar.Run(ctx); err != nil {
			e.Log.Warn("the master service is left in the catalogue", "err", err)
		}
	}()
	return func() { stop(); <-done }
}

// exitError tells a lost lock from the end of the context (no error) and from a failure of ours.
func (e *Election) exitError(ctx, held context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	if cause := context.Cause(held); cause != nil {
		return fmt.Errorf("%w: %w", takeover.ErrLost, cause)
	}
	return err
}

// watchLock returns why the lock is lost, when it is. The lease is all that an election without an agent has: at its end
// another may hold the lock. A view that does not show our session may be older than our hold, so it is verified once: its
// index proves little, for that falls when Consul forgets what was deleted.
func (e *Election) watchLock(ctx context.Context, s *lock.Session) error {
	var verified uint64
	run := e.known.Load().health.Status.RunID
	for {
		k, changed := e.known.Watch()
		left := s.Lease.Left(time.Now())
		if k.view.Session != s.ID && k.view.Index != verified {
			if v, err := e.Lock.Read(ctx); err == nil && v.Session != s.ID {
				return fmt.Errorf("%s is held by %s", e.Lock.Key, cmp.Or(v.Holder, "nobody"))
			} else if err == nil {
				verified = k.view.Index
			}
		}
		switch h := k.health; {
		case k.sessionLost:
			return lock.ErrSessionLost
		case left == 0:
			return lock.ErrLease
		case e.Child:
		case h.Err != nil:
			return fmt.Errorf("redis is unusable: %w", h.Err)
		case h.Status.RunID != run:
			return errors.New("redis was restarted: it is a new one")
		case e.demotedByHand(h):
			return fmt.Errorf("redis was made a replica of %s", h.Status.MasterAddr)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		case <-time.After(min(left, time.Second)):
		}
	}
}

// promote invokes the promote handler, and publishes.
func (e *Election) promote(ctx context.Context, s *lock.Session, v cluster.View) (cluster.View, error) {
	t := takeover.Takeover{Lock: e.Lock, Session: s, Log: e.Log,
		Self: takeover.Self{Me: e.Me, Service: e.Naming.Name(catalog.Master), Redis: e.Redis, Creds: e.Creds}}
	if e.Handler == nil {
		done, err := t.Run(ctx, v)
		e.background.Go(done.Wait)
		if err == nil {
			e.term = done.View.State.Term()
			e.Log.Info("promoted", "redis", e.Redis.Addr(), "term", e.term)
			now := time.Now()
			e.masterSince.Store(&now)
		}
		return done.View, err
	}
	ev := handlers.Event{Type: handlers.TypePromote, Term: v.State.Term() + 1, Previous: previous(v)}
	e.term = ev.Term
	if err := e.invoke(ctx, ev); err != nil || e.Child {
		return v, err
	}
	st, err := e.Redis.Status(ctx)
	if err != nil {
		e.Log.Warn("published without its run id: the redis that the handler promoted does not answer here", "err", err)
	}
	return t.Publish(ctx, v, st, cluster.MinReplicas{Replicas: cluster.GuardOff})
}

// demotedByHand tells whether our Redis, once promoted, was made a replica again.
func (e *Election) demotedByHand(h redis.Health) bool {
	since := e.masterSince.Load()
	return since != nil && h.At.After(*since) && !h.Status.Master
}

func previous(v cluster.View) *handlers.Peer {
	if v.State.Master == nil {
		return nil
	}
	return &v.State.Master.Peer
}

func (e *Election) invoke(ctx context.Context, ev handlers.Event) error {
	data, err := json.Marshal(ev)
	if err != nil {
		return err
	}
	return e.Handler.Handle(ctx, data, "CONSUL_LOCK_HELD=true")
}

// fenceAndRelease fences and gives the lock back. The fence has what is left of the lease, and never less than a moment: a
// master that may have a successor must not be left writable.
func (e *Election) fenceAndRelease(ctx context.Context, s *lock.Session, cause error) error {
	why := cluster.WhyLeaving
	if cause != nil {
		why = cause.Error()
	}
	if c, ok := e.Handler.(*handlers.Command); ok { // first: it may still be writing
		c.End()
		defer c.End()
	}
	ctx, cancel := context.WithTimeout(ctx, max(s.Lease.Left(time.Now()), 2*time.Second))
	defer cancel()
	err := e.fence(ctx, why)
	if err != nil {
		err = fmt.Errorf("fence: %w", err)
	}
	rctx, cancel2 := context.WithTimeout(context.WithoutCancel(ctx), lock.CallTimeout)
	defer cancel2()
	v, r := e.Lock.Read(rctx)
	if r == nil && v.Session == s.ID {
		r = e.Lock.Release(rctx, s.ID, v, why)
	}
	if r != nil {
		e.Log.Warn("the lock is left to the session's end", "err", r)
	}
	return err
}

func (e *Election) fence(ctx context.Context, why string) error {
	if e.Handler == nil {
		err := e.Redis.Fence(ctx)
		if redis.Refused(err) { // a Redis that is gone accepts no writes
			return nil
		}
		return err
	}
	if e.Child {
		return nil
	}
	return e.invoke(ctx, handlers.Event{Type: handlers.TypeFence, Term: e.term, Reason: why})
}
