// Package elect is `resec elect`: one member contends for the lock, and its handler promotes and fences its Redis.
package elect

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/consul/api"
	"golang.org/x/sync/errgroup"

	"resec/commands/catalog"
	"resec/commands/cluster"
	"resec/commands/lock"
	"resec/commands/observable"
	"resec/commands/watch"
	"resec/handlers"
	"resec/handlers/redis"
)

// ErrTimeout is returned when the lock could not be acquired in time.
var ErrTimeout = errors.New("timed out waiting for the lock")

// Election is `resec elect`: one member contends for the lock, once.
type Election struct {
	Lock      lock.Lock
	Session   lock.SessionOptions
	Naming    catalog.Naming
	Me        cluster.Master
	Registrar *catalog.Registrar // nil: the master service is not registered
	Redis     *redis.Server
	Creds     redis.Options
	Probe     redis.Probe
	Handler   handlers.Handler // nil: the built-in promote and fence
	Child     bool             // the lock is held only while Handler runs
	Timeout   time.Duration    // to get the lock; 0: none
	Log       *slog.Logger

	known       *observable.Value[snapshot]
	masterSince atomic.Pointer[time.Time]  // since when our Redis is master, by the built-in promote
	term        uint64                     // that we published, 0 before
	lease       atomic.Pointer[lock.Lease] // of the session under way
	background  sync.WaitGroup             // what a take-over still does for others
}

// snapshot is what an election knows.
type snapshot struct {
	view        cluster.View
	health      redis.Health
	probed      bool // health is an answer
	sessionLost bool // Consul says that our session is no more
}

// Run contends, holds the lock until it is lost or the context ends (nil), and leaves nothing behind.
func (e *Election) Run(ctx context.Context) error {
	e.known = observable.New[snapshot]()
	work, stop := context.WithCancel(ctx)
	g, work := errgroup.WithContext(work)
	g.Go(func() error {
		return watch.Run(work, e.Lock.Client, map[string]any{"type": "keyprefix", "prefix": e.Lock.Key}, func(index uint64, answer any) {
			pairs, _ := answer.(api.KVPairs)
			e.known.Update(func(k *snapshot) { k.view = e.Lock.Parse(index, pairs) })
		}, watch.Log(e.Log, "lock"))
	})
	if !e.Child { // a child's own life is its health
		g.Go(func() error {
			e.Redis.Watch(work, e.Probe, nil, func(h redis.Health) {
				e.known.Update(func(k *snapshot) { k.health, k.probed = h, true })
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
		again, err := e.contendWith(ctx, s, timeout.C)
		if !again {
			return err
		}
	}
}

// Lease is what is left of the lease under way; 0 where there is none.
func (e *Election) Lease() time.Duration {
	if l := e.lease.Load(); l != nil {
		return l.Left(time.Now())
	}
	return 0
}

// session creates a session, for as long as it takes.
func (e *Election) session(ctx context.Context, timeout <-chan time.Time) (*lock.Session, error) {
	for said := false; ; said = true {
		s, err := lock.NewSession(context.WithoutCancel(ctx), e.Lock.Client, e.Session) // or one may be left that nobody knows
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

// contendWith contends under one session, and holds the lock once it has it. It tells whether to contend again.
func (e *Election) contendWith(ctx context.Context, s *lock.Session, timeout <-chan time.Time) (again bool, err error) {
	keep, stop := context.WithCancel(ctx)
	kept := make(chan struct{})
	e.known.Update(func(k *snapshot) { k.sessionLost = false })
	e.lease.Store(&s.Lease)
	go func() {
		defer close(kept)
		if errors.Is(s.Keep(keep, nil, e.Log), lock.ErrSessionLost) {
			e.known.Update(func(k *snapshot) { k.sessionLost = true })
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
		k, changed := e.known.Watch()
		foreign := k.view.CheckService(e.Naming.Name(catalog.Master))
		switch why := e.notContendingReason(k); {
		case k.sessionLost:
			return true, nil
		case errors.Is(k.view.Err, cluster.ErrConflict):
			return false, k.view.Err
		case foreign != nil:
			return false, foreign
		case errors.Is(k.health.Err, redis.ErrTooOld):
			return false, k.health.Err
		case why == "":
			v, err := e.Lock.Acquire(ctx, s.ID, k.view, k.view.State)
			if err == nil {
				return false, e.runAsHolder(ctx, s, v)
			}
			if text := err.Error(); !errors.Is(err, lock.ErrChanged) && text != said && ctx.Err() == nil {
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
		case <-changed:
		case <-time.After(time.Second): // a lock delay ends without an event
		}
	}
}

// notContendingReason says why the lock should not be taken now; nothing when it should.
func (e *Election) notContendingReason(k snapshot) string {
	switch {
	case k.view.Index == 0:
		return "consul has not answered yet"
	case k.view.Err != nil:
		return k.view.Err.Error()
	case k.view.Pause.Active(time.Now()) && !e.Child:
		return "the cluster is " + k.view.Pause.String()
	case !k.view.Free():
		return "the lock is held by " + cmp.Or(k.view.Holder, "somebody else")
	case e.Child:
		return ""
	case !k.probed:
		return "redis has not answered yet"
	case k.health.Err != nil:
		return "redis is unusable: " + redis.Summary(k.health.Err)
	case k.health.Status.Syncing:
		return "redis is syncing"
	case k.health.Status.Priority == 0:
		return "its replica-priority is 0"
	}
	return ""
}
