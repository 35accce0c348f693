// Package elect is `resec elect`: one member contends for the lock, and promotes its Redis while it holds the lock.
//
// An Election owns its snapshot, its session and its registration. Election.Run starts an observer and a session keeper, and
// contends in a third goroutine. That goroutine also holds the lock: it promotes, fences and releases, and joins what it starts.
package elect

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"resec/commands/catalog"
	"resec/commands/cluster"
	"resec/commands/lock"
	"resec/commands/logonce"
	"resec/commands/observable"
	"resec/commands/observe"
	"resec/commands/place"
	"resec/handlers"
	"resec/handlers/redis"
)

// ErrTimeout is returned when the lock could not be acquired in time.
var ErrTimeout = errors.New("timed out waiting for the lock")

// acquireRetry is how soon the lock is tried again if nothing is seen to change: a lock delay ends without an event.
const acquireRetry = time.Second

// Election is `resec elect`: one member contends for the lock, and holds it once.
type Election struct {
	Lock      lock.Lock
	Session   lock.SessionOptions
	Naming    catalog.Naming
	Me        cluster.Master
	Registrar *catalog.Registrar // nil: the master service is not registered
	Place     *place.Keeper      // follows where this member is; Own and Moved are filled in. nil: it does not move
	Redis     *redis.Server
	Creds     redis.Options
	Probe     redis.Probe
	Handler   handlers.Handler // nil: the built-in promote and fence
	Child     bool             // hold the lock only while Handler runs
	Timeout   time.Duration    // to acquire the lock; 0: none
	Log       *slog.Logger

	HandlerTimeout time.Duration // of one invocation of Handler; 0: none

	known      *observable.Value[snapshot]
	observer   *observe.Observer
	term       uint64                     // that was published, or that the promote handler was invoked for; 0 before
	lease      atomic.Pointer[lock.Lease] // under which the lock is held; nil before
	endBy      atomic.Pointer[time.Time]  // when the lease ends that the end of the term has; nil before that
	background sync.WaitGroup             // work of the take-over on other members
	stop       stop
}

// snapshot is what an election knows at one moment.
type snapshot struct {
	observe.Snapshot
	session    *lock.Session // ours; nil: none
	place      cluster.Place // where this member is now; zero: where it was when this process started
	promotedAt time.Time     // when the built-in promote was done; zero before
}

// Run contends for the lock, and holds it until it is lost or the context ends. Then it fences Redis, releases the lock and
// removes what it registered. It returns nil if the context ended, and takeover.ErrLost if the lock is lost. It returns
// cluster.ErrConflict or cluster.ErrOtherCluster if the key is not this cluster's. It also returns ErrTimeout, redis.ErrTooOld,
// redis.ErrClusterMode, and any error of promoting and fencing.
func (e *Election) Run(ctx context.Context) error {
	e.stop.watch(ctx)
	defer e.stop.end()
	e.known = observable.New[snapshot]()
	e.observer = e.newObserver()
	if e.Registrar != nil {
		e.Registrar.DeregisterTimeout = e.deregisterTime
	}
	// Session and observer outlive the context: the end of the term needs the session until the lock is released.
	outer, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	g, outer := errgroup.WithContext(outer)
	g.Go(func() error { return e.observer.Run(outer) })
	g.Go(func() error { e.newKeeper().Run(outer); return nil })
	if e.Place != nil && !e.Child { // a child publishes nothing
		g.Go(func() error { e.followPlace(outer); return nil })
	}
	g.Go(func() error {
		defer stop()
		inner, end := context.WithCancel(outer)
		defer end()
		defer context.AfterFunc(ctx, func() {
			e.stop.request() // before the end, because what ends asks how long it may take
			end()
		})()
		return e.contend(inner)
	})
	return g.Wait()
}

func (e *Election) newObserver() *observe.Observer {
	o := &observe.Observer{Lock: e.Lock, Probe: e.Probe, Log: e.Log, Update: func(change func(*observe.Snapshot)) {
		e.known.Update(func(k *snapshot) { change(&k.Snapshot) })
	}}
	if !e.Child { // a child's own life is its health
		o.Redis = e.Redis
	}
	return o
}

func (e *Election) newKeeper() *lock.Keeper {
	return &lock.Keeper{Client: e.Lock.Client, Options: e.Session, Log: e.Log, DestroyTimeout: e.callTimeout,
		Began: func(s *lock.Session) { e.known.Update(func(k *snapshot) { k.session = s }) },
		Ended: func(*lock.Session, bool) { e.known.Update(func(k *snapshot) { k.session = nil }) }}
}

// Lease returns what is left of the lease under which the lock is held; 0 if it is not held. The end of a term has no more than
// was left as it began, although the session is renewed until the lock is released.
func (e *Election) Lease() time.Duration {
	if end := e.endBy.Load(); end != nil {
		return max(0, time.Until(*end))
	}
	if l := e.lease.Load(); l != nil {
		return l.Left(time.Now())
	}
	return 0
}

// contend waits until the lock can be acquired, acquires it and holds it.
func (e *Election) contend(ctx context.Context) error {
	limit := time.Duration(math.MaxInt64)
	if e.Timeout > 0 {
		limit = e.Timeout
	}
	timeout := time.NewTimer(limit)
	defer timeout.Stop()
	e.Log.Info("waiting for the lock", "event", "waiting_for_lock", "key", e.Lock.Key)
	var logged logonce.Once
	for {
		k, changed := e.known.Watch()
		if err := k.misconfigured(e.Naming.Name(catalog.Master)); err != nil {
			return err
		}
		v, why, err := e.acquire(ctx, k)
		switch {
		case err != nil:
			e.logNotAcquired(ctx, err, &logged)
		case why == "":
			return e.holdLock(ctx, k.session, v)
		case logged.Changed("not contending: " + why):
			e.Log.Info("not contending", "event", "not_contending", "why", why)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-timeout.C:
			return fmt.Errorf("%w %s", ErrTimeout, e.Lock.Key)
		case <-changed:
		case <-time.After(acquireRetry):
		}
	}
}

// acquire acquires the lock, or returns why this member must not lead now. A lock that our session already holds was acquired by
// a call whose answer was lost: it is returned, or released for that reason. The errors are those of lock.Lock.Acquire.
func (e *Election) acquire(ctx context.Context, k snapshot) (v cluster.View, why string, err error) {
	why = k.notContendingReason(e.Child, time.Now())
	if why == "" {
		why = cmp.Or(e.refusedReason(ctx), e.unnamedReason(ctx, k))
	}
	switch {
	case why == "" && k.holdsLock():
		return k.View, "", nil
	case why == "":
		v, err = e.Lock.Acquire(ctx, k.session.ID, k.View, k.View.State)
	case k.holdsLock():
		e.release(ctx, k.session, why)
	}
	return v, why, err
}

// logNotAcquired logs why the lock was not acquired, once for each kind of error. That another member was faster is not logged:
// the view will show it.
func (e *Election) logNotAcquired(ctx context.Context, err error, logged *logonce.Once) {
	if !errors.Is(err, lock.ErrChanged) && ctx.Err() == nil && logged.Changed("not acquired: "+lock.ErrorKind(err)) {
		e.Log.Warn("cannot acquire the lock, retrying", "event", "acquire_failed", "key", e.Lock.Key, "err", err)
	}
}
