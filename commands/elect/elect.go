package elect

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/hashicorp/consul/api"
	"golang.org/x/sync/errgroup"

	"resec/commands/board"
	"resec/commands/catalog"
	"resec/commands/lock"
	"resec/commands/watch"
	"resec/handlers"
	"resec/handlers/redis"
)

var (
	// ErrLost is returned when the lock was held and is no longer.
	ErrLost = errors.New("the lock is lost")
	// ErrTimeout is returned when the lock could not be had in time.
	ErrTimeout = errors.New("timed out waiting for the lock")
)

// Election is `resec elect`: one member contends for the lock, once.
type Election struct {
	Lock      lock.Lock
	Session   lock.SessionOptions
	Naming    catalog.Naming
	Me        lock.Master
	Registrar *catalog.Registrar // nil: the master service is not registered
	Redis     *redis.Server
	Creds     redis.Options
	Probe     redis.Probe
	Handler   handlers.Handler // nil: the built-in promote and fence
	Child     bool             // the lock is held only while Handler runs
	Timeout   time.Duration    // to get the lock; 0: none
	Log       *slog.Logger

	Lease *lock.Lease
	board *board.Board[known]
}

// known is what an election knows.
type known struct {
	view   lock.View
	health redis.Health
	seen   bool // health is an answer
	gone   bool // Consul says that our session is no more
}

// Run contends, holds the lock until it is lost or the context ends (nil), and leaves nothing behind.
func (e *Election) Run(ctx context.Context) error {
	e.board = board.New[known]()
	work, stop := context.WithCancel(ctx)
	g, work := errgroup.WithContext(work)
	g.Go(func() error {
		return watch.Run(work, e.Lock.Client, map[string]any{"type": "keyprefix", "prefix": e.Lock.Key}, func(index uint64, answer any) {
			pairs, _ := answer.(api.KVPairs)
			e.board.Learn(func(k *known) { k.view = lock.Parse(e.Lock.Key, index, pairs) })
		}, watch.Log(e.Log, "lock"))
	})
	if e.Handler == nil {
		g.Go(func() error {
			e.Redis.Watch(work, e.Probe, nil, func(h redis.Health) {
				e.board.Learn(func(k *known) { k.health, k.seen = h, true })
			})
			return nil
		})
	}
	g.Go(func() error {
		defer stop()
		return e.contend(work)
	})
	return g.Wait()
}

// contend is the state before the lock is held.
func (e *Election) contend(ctx context.Context) error {
	limit := time.Duration(1<<63 - 1)
	if e.Timeout > 0 {
		limit = e.Timeout
	}
	timeout := time.NewTimer(limit)
	defer timeout.Stop()
	e.Log.Info("waiting for the lock", "key", e.Lock.Key)
	for {
		s, err := e.session(ctx, timeout.C)
		if s == nil {
			return err
		}
		again, err := e.with(ctx, s, timeout.C)
		if !again {
			return err
		}
	}
}

// session creates a session, for as long as it takes.
func (e *Election) session(ctx context.Context, timeout <-chan time.Time) (*lock.Session, error) {
	for said := false; ; said = true {
		s, err := lock.NewSession(ctx, e.Lock.Client, e.Session, e.Lease)
		if err == nil {
			return s, nil
		}
		if !said && ctx.Err() == nil {
			e.Log.Warn("there is no session yet; trying on", "err", err)
		}
		select {
		case <-ctx.Done():
			return nil, nil
		case <-timeout:
			return nil, ErrTimeout
		case <-time.After(time.Second):
		}
	}
}

// with contends under one session, and holds the lock once it has it. It tells whether to contend again.
func (e *Election) with(ctx context.Context, s *lock.Session, timeout <-chan time.Time) (again bool, err error) {
	keep, stop := context.WithCancel(ctx)
	kept := make(chan struct{})
	e.board.Learn(func(k *known) { k.gone = false })
	go func() {
		defer close(kept)
		if errors.Is(s.Keep(keep, nil, e.Log), lock.ErrSessionLost) {
			e.board.Learn(func(k *known) { k.gone = true })
		}
	}()
	defer func() {
		stop()
		<-kept
		if d := s.Destroy(context.WithoutCancel(ctx)); d != nil {
			e.Log.Warn("the session is left to its TTL", "err", d)
		}
	}()
	said := ""
	for {
		k := e.board.Get()
		switch why := e.wait(k); {
		case k.gone:
			return true, nil
		case errors.Is(k.view.Err, lock.ErrConflict), errors.Is(k.health.Err, redis.ErrTooOld):
			return false, errors.Join(k.view.Err, k.health.Err)
		case why == "":
			err := e.Lock.Acquire(ctx, s.ID, k.view)
			if err == nil {
				return false, e.hold(ctx, s, k.view)
			}
			if text := err.Error(); !errors.Is(err, lock.ErrMoved) && text != said && ctx.Err() == nil {
				e.Log.Warn("the lock is not to be had; trying on", "err", err)
				said = text
			}
		case why != said:
			e.Log.Info("not contending", "why", why)
			said = why
		}
		select {
		case <-ctx.Done():
			return false, nil
		case <-timeout:
			return false, fmt.Errorf("%w %s", ErrTimeout, e.Lock.Key)
		case <-e.board.Changed():
		case <-time.After(time.Second): // a lock delay ends without an event
		}
	}
}

// wait says why the lock should not be taken now; nothing when it should.
func (e *Election) wait(k known) string {
	switch {
	case k.view.Index == 0:
		return "consul has not answered yet"
	case k.view.Err != nil:
		return k.view.Err.Error()
	case !k.view.Free():
		return "the lock is held by " + k.view.Holder
	case e.Handler != nil: // it looks after its Redis itself
		return ""
	case !k.seen:
		return "redis has not answered yet"
	case k.health.Err != nil:
		return "redis is unusable: " + k.health.Err.Error()
	case k.health.Status.Syncing:
		return "redis is syncing"
	case k.health.Status.Priority == 0:
		return "its replica-priority is 0"
	}
	return ""
}

// hold is the state in which the lock is ours; leaving it fences, deregisters, and gives the lock back.
func (e *Election) hold(ctx context.Context, s *lock.Session, v lock.View) (err error) {
	e.Log.Info("elected", "key", e.Lock.Key, "term", v.State.Term()+1)
	held, lose := context.WithCancelCause(ctx)
	guarded := make(chan struct{})
	go func() {
		defer close(guarded)
		lose(e.guard(held, s, v.Index))
	}()
	unregister := func() {}
	defer func() {
		lose(nil)
		<-guarded
		err = errors.Join(err, e.leave(context.WithoutCancel(ctx), s, err))
		unregister() // last: Consul may be what is away
	}()
	if v, err = e.promote(held, s, v); err != nil || e.Child {
		return e.verdict(ctx, held, err)
	}
	if e.Registrar != nil {
		unregister = e.register(context.WithoutCancel(ctx), v.State.Term())
	}
	<-held.Done()
	return e.verdict(ctx, held, nil)
}

// register publishes the master service until the function that it returns is called.
func (e *Election) register(ctx context.Context, term uint64) (unregister func()) {
	if err := e.Naming.Evict(ctx, e.Lock.Client, e.Me.ID); err != nil {
		e.Log.Warn("old master entries are left in the catalogue", "err", err)
	}
	e.Registrar.Set(catalog.Entry{Role: catalog.Master, Status: api.HealthPassing,
		Output: fmt.Sprintf("master, term %d", term), Meta: Meta(e.Me.ID, term, e.board.Get().health.Status.Version)})
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

// Meta is what a service's entry says beside its address.
func Meta(id string, term uint64, version string) map[string]string {
	return map[string]string{"id": id, "term": fmt.Sprint(term), "version": version}
}

// verdict tells a lost lock from the end of the context (no error) and from a failure of ours.
func (e *Election) verdict(ctx, held context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	if cause := context.Cause(held); cause != nil {
		return fmt.Errorf("%w: %w", ErrLost, cause)
	}
	return err
}

// guard returns why the lock is lost, when it is. The lease is all that an election without an agent has: at its end
// another may hold the lock. The view may be older than our hold, which began after index.
func (e *Election) guard(ctx context.Context, s *lock.Session, index uint64) error {
	for {
		k := e.board.Get()
		left := e.Lease.Left(time.Now())
		if k.view.Index > index && k.view.Session != s.ID {
			index = k.view.Index
			if v, err := e.Lock.Read(ctx); err == nil && v.Session != s.ID {
				return fmt.Errorf("%s is held by %q", e.Lock.Key, v.Holder)
			}
		}
		switch {
		case k.gone:
			return lock.ErrSessionLost
		case left == 0:
			return ErrLease
		case k.health.Err != nil:
			return fmt.Errorf("redis is unusable: %w", k.health.Err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-e.board.Changed():
		case <-time.After(left):
		}
	}
}

// promote invokes the promote handler, and publishes.
func (e *Election) promote(ctx context.Context, s *lock.Session, v lock.View) (lock.View, error) {
	t := Takeover{Lock: e.Lock, Session: s.ID, Lease: e.Lease, Me: e.Me, Service: e.Naming.Name(catalog.Master), Redis: e.Redis, Creds: e.Creds, Log: e.Log}
	if e.Handler == nil {
		v, err := t.Run(ctx, v)
		if err == nil {
			e.Log.Info("promoted", "redis", e.Redis.Addr(), "term", v.State.Term())
		}
		return v, err
	}
	ev := handlers.Event{Type: handlers.TypePromote, Term: v.State.Term() + 1, Previous: previous(v)}
	if err := e.invoke(ctx, ev); err != nil || e.Child {
		return v, err
	}
	st, err := e.Redis.Status(ctx)
	if err != nil {
		e.Log.Warn("published without its run id: the redis that the handler promoted does not answer here", "err", err)
	}
	return t.publish(ctx, v, st)
}

func previous(v lock.View) *handlers.Peer {
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

// leave fences and gives the lock back. The fence has what is left of the lease, and never less than a moment: a
// master that may have a successor must not be left writable.
func (e *Election) leave(ctx context.Context, s *lock.Session, cause error) error {
	why := lock.WhyLeaving
	if cause != nil {
		why = cause.Error()
	}
	ctx, cancel := context.WithTimeout(ctx, max(e.Lease.Left(time.Now()), 2*time.Second))
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
	if c, ok := e.Handler.(*handlers.Command); ok {
		c.End()
		defer c.End()
	}
	if e.Child {
		return nil
	}
	v := e.board.Get().view
	return e.invoke(ctx, handlers.Event{Type: handlers.TypeFence, Term: v.State.Term(), Reason: why})
}
