package agent

import (
	"context"
	"time"

	"resec/commands/cluster"
	"resec/commands/lock"
	"resec/commands/observe"
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

// sameLock reports whether the lock and the state are as they were. After an outage of Consul nothing is known to be as it was.
func (k snapshot) sameLock(was snapshot) bool {
	return k.Fresh == was.Fresh && k.View.SameLock(was.View)
}

// newObserver returns what updates the snapshot with each view of the lock and each probe of our Redis.
func (a *Agent) newObserver() *observe.Observer {
	return &observe.Observer{Lock: a.Lock, Redis: a.local.server, Probe: a.Probe, ProbeNow: a.local.probeNow, Log: a.Log,
		Update: func(change func(*observe.Snapshot)) {
			a.known.Update(func(k *snapshot) { change(&k.Observation) })
		}}
}

// watchPause keeps Paused true while a pause of the cluster is active by our clock, and logs its begin and end.
func (a *Agent) watchPause(ctx context.Context) {
	for logged := false; ctx.Err() == nil; {
		k, changed := a.known.Watch()
		if k.View.Pause.Active(time.Now()) != k.Paused {
			a.known.Update(func(k *snapshot) { k.Paused = k.View.Pause.Active(time.Now()) })
			continue
		}
		if k.Paused && !logged {
			a.Log.Warn("cluster is paused; nothing is promoted, re-pointed, parked or fenced until it ends",
				"event", "cluster_paused",
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

// sleep returns after d, or when the context ends.
func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
