package agent

import (
	"cmp"
	"context"
	"time"

	"github.com/hashicorp/consul/api"

	"resec/commands/cluster"
	"resec/commands/lock"
	"resec/commands/watch"
	"resec/handlers/redis"
)

// snapshot is all that the agent knows at one moment.
type snapshot struct {
	cluster.Snapshot
	session *lock.Session // ours; nil: there is none
}

// setSession notes our session; nil: there is none.
func (k *snapshot) setSession(s *lock.Session) {
	k.session, k.SessionID = s, ""
	if s != nil {
		k.SessionID = s.ID
	}
}

// leaseLeft is how long we may still act as the holder of our session; 0 without one.
func (k snapshot) leaseLeft(now time.Time) time.Duration {
	if k.session == nil {
		return 0
	}
	return k.session.Lease.Left(now)
}

// watchLock updates the snapshot with each view of the lock that Consul's watch gives.
func (a *Agent) watchLock(ctx context.Context) error {
	logOutage := watch.Log(a.Log, "lock")
	params := map[string]any{"type": "keyprefix", "prefix": a.Lock.Key}
	return watch.Run(ctx, a.Lock.Client, params, func(index uint64, answer any) {
		pairs, _ := answer.(api.KVPairs)
		v := a.Lock.Parse(index, pairs)
		known := a.known.Load().View.Index
		if v.Index >= known {
			a.observeView(v)
		} else if v, err := a.Lock.Read(ctx); err == nil { // it is late, or Consul's index fell because it has lost data
			a.takeView(v, func(now uint64) bool { return now == known })
		}
	}, func(err error) {
		if err == nil { // what comes may be older than what we know: Consul may have lost its data
			a.known.Update(func(k *snapshot) { k.View.Index, k.ConsulDown, k.ConsulUpSince = 0, false, time.Now() })
		} else if !a.known.Load().ConsulDown { // a call of another kind may succeed meanwhile
			a.known.Update(func(k *snapshot) { k.ConsulDown = true })
		}
		logOutage(err)
	})
}

// observeView takes a view unless a newer one is known: the watch and a read of our own race.
func (a *Agent) observeView(v cluster.View) {
	a.takeView(v, func(known uint64) bool { return v.Index >= known })
}

// takeView takes a view if the index of the known one allows it.
func (a *Agent) takeView(v cluster.View, allows func(known uint64) bool) {
	a.known.Update(func(k *snapshot) {
		if allows(k.View.Index) {
			k.SetView(v, time.Now())
		}
	})
}

// setWritten takes what our own write has made of lock and state. The watch may have shown that already, and more; what it
// has shown of the members stays.
func (a *Agent) setWritten(v cluster.View) {
	a.known.Update(func(k *snapshot) {
		if v.Index <= k.View.Index {
			return
		}
		if v.LiveAgents = k.View.LiveAgents; v.Request != nil { // this write did not end it
			v.Request = k.View.Request
		}
		k.SetView(v, time.Now())
	})
}

// watchRedis updates the snapshot with our Redis's health, and logs each turn of it.
func (a *Agent) watchRedis(ctx context.Context) {
	was, began := "", true
	a.local.watch(ctx, a.Probe, func(h redis.Health) {
		is := redis.Summary(cmp.Or(h.Err, h.AccessErr))
		switch {
		case is == was && !began:
		case h.AccessErr != nil:
			a.Log.Warn("redis denies access; keeping its last known status until it accepts our credentials", "event", "redis_access_denied", "redis", a.local.addr(), "err", h.AccessErr)
		case h.Err != nil:
			a.Log.Warn("redis is unhealthy", "event", "redis_unhealthy", "redis", a.local.addr(), "why", is, "err", h.Err)
		default:
			a.Log.Info("redis is healthy", "event", "redis_healthy", "redis", a.local.addr(), "version", h.Status.Version, "run_id", h.Status.RunID)
		}
		was, began = is, false
		a.known.Update(func(k *snapshot) { k.Health, k.Probed = h, true })
	})
}

// watchPause keeps Paused true while a pause of the cluster is active by our clock, and logs its begin and end.
func (a *Agent) watchPause(ctx context.Context) {
	for logged := false; ctx.Err() == nil; {
		k, changed := a.known.Watch()
		if k.View.Pause.Active(time.Now()) != k.Paused {
			a.known.Update(func(k *snapshot) { k.SetView(k.View, time.Now()) })
			continue
		}
		if k.Paused && !logged {
			a.Log.Warn("cluster is paused; nothing is promoted, re-pointed, parked or fenced until it ends", "event", "cluster_paused",
				"until", k.View.Pause.Until, "since", k.View.Pause.Since, "reason", k.View.Pause.Reason)
		} else if !k.Paused && logged {
			a.Log.Warn("cluster is no longer paused", "event", "cluster_resumed")
		}
		logged = k.Paused
		var over <-chan time.Time
		if k.Paused {
			over = time.After(time.Until(k.View.Pause.Until))
		}
		select {
		case <-ctx.Done():
		case <-changed:
		case <-over:
		}
	}
}
