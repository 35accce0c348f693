package observe

import (
	"cmp"
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"resec/commands/cluster"
	"resec/commands/lock"
	"resec/commands/logonce"
	"resec/commands/watch"
	"resec/handlers/redis"
)

// readRetry is the pause after a consistent read of the lock failed, while one is needed.
const readRetry = 500 * time.Millisecond

// Redis is a server that can be watched: a *redis.Server, or what owns one.
type Redis interface {
	Addr() string
	Watch(ctx context.Context, p redis.Probe, now <-chan struct{}, report func(redis.Health))
}

// Observer writes what it observes into a snapshot.
type Observer struct {
	Lock  lock.Lock
	Redis Redis // nil: only the lock is observed
	Probe redis.Probe
	Log   *slog.Logger

	// Update changes the snapshot: one change at a time, and readers see the snapshot before or after it.
	Update func(change func(*Snapshot))
	// Older is called after the watch has shown older keys than the known ones, and a consistent read was taken. nil: nothing.
	Older func()
	// ProbeNow makes Redis probed at once with each receive. nil: never.
	ProbeNow <-chan struct{}

	views atomic.Uint64 // how many views were taken; changed within Update
}

// Run observes until the context ends. It returns an error only if Consul's watch rejects the lock's key.
func (o *Observer) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	if o.Redis != nil {
		g.Go(func() error { o.watchRedis(ctx); return nil })
	}
	g.Go(func() error { return o.watchLock(ctx) })
	return g.Wait()
}

// Take takes a view that a read of the caller's returned, unless a newer one is known, and reports whether it did.
func (o *Observer) Take(v cluster.View) bool {
	return o.update(func(s *Snapshot) bool { return s.TakeRead(v, time.Now()) })
}

// Wrote takes a view that a write of the caller's returned, unless the watch has shown that write already.
func (o *Observer) Wrote(v cluster.View) {
	o.update(func(s *Snapshot) bool { return s.TakeWritten(v, time.Now()) })
}

// Read reads the lock with one consistent query, takes the view, and returns it. It also takes a view with a lower index than the
// known one, unless another view was taken since the read began. A lower index then means that Consul has lost data, and that its
// indexes start lower. It returns the errors of lock.Lock.Read.
func (o *Observer) Read(ctx context.Context) (cluster.View, error) {
	before := o.views.Load()
	v, err := o.Lock.Read(ctx)
	if err == nil {
		o.takeConsistent(v, before)
	}
	return v, err
}

// takeConsistent takes the view of a consistent read that began after so many views.
func (o *Observer) takeConsistent(v cluster.View, before uint64) {
	o.update(func(s *Snapshot) bool {
		if o.views.Load() != before {
			return s.TakeRead(v, time.Now())
		}
		s.Take(v, time.Now())
		return true
	})
}

// update changes the view, and reports whether change did.
func (o *Observer) update(change func(*Snapshot) bool) (changed bool) {
	o.Update(func(s *Snapshot) {
		if changed = change(s); changed {
			o.views.Add(1)
		}
	})
	return changed
}

func (o *Observer) watchLock(ctx context.Context) error {
	log := watch.Log(o.Log, "lock")
	outage := func(err error) {
		o.setOutage(err != nil)
		log(err)
	}
	return o.Lock.Watch(ctx, func(v cluster.View) {
		if v.WentBack || !o.Take(v) {
			o.readUntilAnswered(ctx, outage)
			if o.Older != nil {
				o.Older()
			}
		}
	}, outage)
}

// setOutage notes the begin and the end of an outage. After it the next view may be older than the known one.
func (o *Observer) setOutage(down bool) {
	o.Update(func(s *Snapshot) {
		if s.ConsulDown = down; !down {
			s.Fresh, s.ConsulUpSince = false, time.Now()
		}
	})
}

// readUntilAnswered takes a consistent read of the lock, after the watch showed a lower index than the view's, or older keys than
// those that were seen. That answer is late, or Consul has lost what it showed before. As long as Consul does not answer the
// read, that is an outage.
func (o *Observer) readUntilAnswered(ctx context.Context, outage func(error)) {
	for down := false; ctx.Err() == nil; {
		before := o.views.Load()
		v, err := o.Lock.Read(ctx)
		if err == nil {
			if down {
				outage(nil)
			}
			o.takeConsistent(v, before)
			return
		}
		if !down && ctx.Err() == nil {
			outage(err)
			down = true
		}
		select {
		case <-ctx.Done():
		case <-time.After(readRetry):
		}
	}
}

// watchRedis keeps the health of our Redis, and logs it when its kind changes.
func (o *Observer) watchRedis(ctx context.Context) {
	var logged logonce.Once
	var writes, clients lasting
	o.Redis.Watch(ctx, o.Probe, o.ProbeNow, func(h redis.Health) {
		o.logRefusals(h, &writes, &clients)
		if logged.Changed(redis.Summary(cmp.Or(h.LocalErr, h.Err, h.AccessErr))) {
			o.logHealth(h)
		}
		o.Update(func(s *Snapshot) { s.TakeHealth(h) })
	})
}

func (o *Observer) logHealth(h redis.Health) {
	addr := o.Redis.Addr()
	if h.LocalErr != nil {
		o.Log.Warn("this host cannot ask redis; what was last known of it counts until it can", "event", "redis_not_asked",
			"redis", addr, "err", h.LocalErr)
		return
	}
	if h.AccessErr != nil {
		o.Log.Warn("redis denies access; using its last known status", "event", "redis_access_denied", "redis", addr, "err",
			h.AccessErr)
		return
	}
	if h.Err != nil {
		o.Log.Warn("redis is unhealthy", "event", "redis_unhealthy", "redis", addr, "why", redis.Summary(h.Err), "err", h.Err)
		return
	}
	o.Log.Info("redis is healthy", "event", "redis_healthy", "redis", addr, "version", h.Status.Version, "run_id", h.Status.RunID)
}
