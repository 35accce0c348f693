// Package monitor watches the published master from a replica's host: it keeps a connection to it, notes its failure, and parks
// our Redis at once when it is down. The agent runs Monitor.Run in one goroutine, which chooses the master. A second one, which
// Run starts and joins, probes that master.
package monitor

import (
	"context"
	"log/slog"
	"time"

	"resec/commands/cluster"
	"resec/commands/known"
	"resec/commands/logonce"
	"resec/commands/observable"
	"resec/handlers/redis"
)

const (
	// failureProbeInterval is how often the published master is probed if it may be taken over from early.
	failureProbeInterval = time.Second
	// linkEndTimeout bounds how long the link of our Redis may outlive a master that refuses connections. The kernel frees the
	// memory of a process that ends before it closes its connections. linkEndPoll is the pause between two looks at the link.
	linkEndTimeout, linkEndPoll = 500 * time.Millisecond, 2 * time.Millisecond
	// openRetry is the pause after a connection to the master could not be set up.
	openRetry = 5 * time.Second
)

// Monitor keeps a connection to the published master, and parks our Redis at once when that master is down. Left
// alone, Redis connects again by itself, and whatever listens at the address by then is its master: a Redis that was
// restarted empty would wipe it within a second. Measured: parked 3 ms after the kill it always kept its data.
//
// Its fields are set before Run and not changed afterwards. It has no state of its own. Run's goroutines write the snapshot's
// Failure. The contender, in the controller's goroutine, clears that when a survey reaches the master after all.
type Monitor struct {
	ID            string // of this member
	Known         *known.Value
	Creds         redis.Options // for the master; Addr is filled in
	Probe         redis.Probe
	EarlyTakeover bool // a master that fails may be taken over from before Consul ends its session: Failure is kept

	// Own asks our own Redis. The goroutine of the probes calls it.
	Own func(context.Context) (redis.Status, error)

	// ParkIfFollowing parks our Redis if it follows that address and no term of ours is under way, and reports whether it
	// parked. The goroutine of the probes calls it.
	ParkIfFollowing func(ctx context.Context, addr string) (parked bool, err error)
	// NoteAddress takes that the master answers at its address (nil), or another member's Redis, or our own. The
	// goroutine of the probes calls it.
	NoteAddress func(id, addr string, err error)

	Log *slog.Logger
}

// Run monitors one master after the other until the context ends. When it returns all that it started has ended.
func (m *Monitor) Run(ctx context.Context) {
	for ctx.Err() == nil {
		k, changed := m.Known.Watch()
		if master, ok := m.target(k); ok {
			m.monitor(ctx, master)
			continue
		}
		select {
		case <-ctx.Done():
		case <-changed:
		}
	}
}

// target is the master to monitor: the one that our Redis follows. If our Redis is parked and an early takeover is allowed, it is
// the published master.
func (m *Monitor) target(k known.Snapshot) (cluster.Master, bool) {
	if master, follows := cluster.FollowedMaster(k.Snapshot, m.ID); follows {
		return master, true
	}
	s := k.View.State
	if m.EarlyTakeover && s.Master != nil && s.Master.ID != m.ID && k.Health.Status.Parked() {
		return *s.Master, true
	}
	return cluster.Master{}, false
}

// monitor probes one master until it is no longer the target.
func (m *Monitor) monitor(ctx context.Context, master cluster.Master) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s, err := redis.Open(ctx, m.Creds.AtPeer(master.Address))
	if err != nil {
		m.Log.Error("cannot monitor the master, retrying", "event", "monitor_failed",
			"master", master.ID, "addr", master.Address, "err", err)
		select {
		case <-ctx.Done():
		case <-time.After(openRetry):
		}
		return
	}
	defer s.Close()
	probe := m.Probe
	if m.EarlyTakeover { // an unreachable one is called so one timeout after a probe that it does not answer
		probe.Every = min(probe.Every, failureProbeInterval)
	}
	done, probeNow := make(chan struct{}), make(chan struct{}, 1)
	var logged observed // belongs to the goroutine of the probes
	go func() {
		defer close(done)
		s.Watch(ctx, probe, probeNow, func(h redis.Health) {
			if m.asked(master, h, &logged.unasked) {
				m.observe(ctx, master, h, &logged)
			}
		})
	}()
	m.untilRetargeted(ctx, master, probeNow)
	cancel()
	<-done
}

// untilRetargeted returns when the master is no longer the one to monitor. When our Redis answers again it asks for a probe of
// the master: that may have died meanwhile, and our Redis could not be parked.
func (m *Monitor) untilRetargeted(ctx context.Context, master cluster.Master, probeNow chan struct{}) {
	for answers := true; ; {
		k, changed := m.Known.Watch()
		if now := k.Health.Err == nil; now != answers {
			if answers = now; answers {
				observable.Signal(probeNow)
			}
		}
		if n, ok := m.target(k); !ok || n.RunID != master.RunID || n.Address != master.Address {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-changed:
		}
	}
}

// observed is what was logged of one master.
type observed struct{ parking, refusing, unasked logonce.Once }

// asked reports whether a probe says something about the master. One that failed by a fault of this host's own does not.
func (m *Monitor) asked(master cluster.Master, h redis.Health, unasked *logonce.Once) bool {
	if h.LocalErr == nil {
		unasked.Reset()
		return true
	}
	if why := redis.Summary(h.LocalErr); unasked.Changed(why) {
		m.Log.Warn("this host cannot ask the master, retrying; that proves nothing about the master", "event", "master_not_asked",
			"master", master.ID, "addr", master.Address, "err", h.LocalErr)
	}
	return false
}

// misled reports whether the answer at the master's address is known to be another member's, or our own: it says nothing
// about the master. It parks our Redis, which may connect to another member's next.
func (m *Monitor) misled(ctx context.Context, master cluster.Master, h redis.Health, parking *logonce.Once) bool {
	k := m.Known.Load().Snapshot
	err := cluster.AddressMisleads(k, m.ID, master, h)
	if err != nil {
		m.NoteAddress(master.ID, master.Address, err)
		if h.Status.RunID != k.Health.Status.RunID {
			m.park(ctx, master, err.Error(), parking)
		}
		return true
	}
	if h.Err == nil && h.Status.RunID == master.RunID {
		m.NoteAddress(master.ID, master.Address, nil)
	}
	return false
}

// observe takes one probe's answer: it updates Failure, and parks our Redis if the master is down. A master that refuses
// connections from this host while our Redis still streams from it is not down: it listens at another address by now, or the
// network rejects connections. If our Redis hangs it does nothing: the master is probed again once our Redis answers.
func (m *Monitor) observe(ctx context.Context, master cluster.Master, h redis.Health, logged *observed) {
	if m.misled(ctx, master, h, &logged.parking) {
		return
	}
	streams, err := m.stillStreams(ctx, master, h, logged.refusing.Active())
	if err != nil { // nothing is known of the link; the watch of our Redis logs the error, and the next probe asks again
		return
	}
	if streams {
		if logged.refusing.Changed(master.Address) {
			m.Log.Warn("the master refuses connections from this host, but our redis still streams from it; it is not down",
				"event", "master_refuses", "master", master.ID, "addr", master.Address)
		}
		h.Err = nil
	} else {
		logged.refusing.Reset()
	}
	if ctx.Err() != nil { // the master was changed, or moved, while our Redis was asked
		return
	}
	if m.EarlyTakeover {
		now, was := time.Now(), m.Known.Load().Failure
		if was.Observe(master.RunID, h, now) != was {
			m.Known.Update(func(k *known.Snapshot) { k.Failure = k.Failure.Observe(master.RunID, h, now) })
		}
	}
	if cluster.InstanceDown(h, master.RunID) {
		m.park(ctx, master, redis.Summary(h.Err), &logged.parking)
	}
}

// stillStreams reports whether our Redis still streams from a master that refuses connections. The link of a master that has
// just ended may last for linkEndTimeout; a link that has outlived that once is looked at once. It returns an error if our Redis
// does not say so.
func (m *Monitor) stillStreams(ctx context.Context, master cluster.Master, h redis.Health, outlived bool) (bool, error) {
	if !redis.Refused(h.Err) {
		return false, nil
	}
	tick := time.NewTicker(linkEndPoll)
	defer tick.Stop()
	for end := time.Now().Add(linkEndTimeout); ; <-tick.C {
		own, err := m.ownStatus(ctx)
		if err != nil {
			return false, err
		}
		if !cluster.OnlyRefuses(h, own, master.Address) {
			return false, nil
		}
		if outlived || time.Now().After(end) {
			return true, nil
		}
	}
}

// ownStatus asks our Redis once.
func (m *Monitor) ownStatus(ctx context.Context) (redis.Status, error) {
	ctx, cancel := context.WithTimeout(ctx, m.Probe.Timeout)
	defer cancel()
	return m.Own(ctx)
}

// park parks our Redis if it still follows that master.
func (m *Monitor) park(ctx context.Context, master cluster.Master, why string, failing *logonce.Once) {
	parked, err := m.ParkIfFollowing(ctx, master.Address)
	if why == "" {
		why = "another instance answers at its address"
	}
	if err == nil {
		failing.Reset()
	}
	switch {
	case err == nil && parked:
		m.Log.Warn("master is down; redis is parked and keeps its data until a master is elected", "event", "master_down",
			"master", master.ID, "addr", master.Address, "why", why)
	case err == nil || ctx.Err() != nil || !failing.Changed(redis.Summary(err)): // nothing to park, or it is logged
	default:
		m.Log.Error("master is down and redis cannot be parked, retrying with the next probe; until then it may follow whatever "+
			"listens at the master's address", "event", "park_failed", "master", master.ID, "addr", master.Address, "err", err)
	}
}
