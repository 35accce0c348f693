// Package localredis has the only type that changes an agent's own Redis, and three goroutines that change it by
// themselves.
//
// It owns the connections to our Redis, and why our Redis is fenced. Most changes come from other rooms: the controller, with its
// terms and takeovers, the guard keeper of a term, and the monitor. The goroutines of this room are RunStalls and RunLease of
// Fencer, KeepReplicationConfig and KeepRefusals. An agent runs each in one goroutine.
//
//   - redis.go: Redis, what an agent may ask of its own server. role.go, fence.go and guard.go have its changes; takeover.go is
//     what a takeover sees of it.
//   - fencer.go: Fencer, which fences a master that may no longer be the only one: stalls.go after this process stalled, lease.go
//     at the end of the lease.
//   - commands.go: KeepRefusals, which tries the commands that we need without an effect.
//   - replication.go: KeepReplicationConfig, which gives each instance what it needs as a replica.
//   - foreign.go: ForeignChanges, which logs what other programs make of our Redis.
//
// The *redis.Server is private, so the compiler keeps every other package from changing it. The agent opens the server, and hands
// it over to New.
package localredis

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"

	"resec/commands/logonce"
	"resec/commands/observable"
	"resec/handlers/redis"
)

// Redis is our own server. It makes one change at a time. A change that depends on what the server was when it was decided
// (ParkIfFollowing, SetGuard, ClearStallFence) looks again first, as a part of the same change. Follow looks before, and changes
// last. A change waits for the one that is under way, unless its context ends: then it returns that as an error and has done
// nothing.
//
// Any goroutine may call it. An agent calls it from the controller, which leads and takes over, and from the goroutines that a
// term starts. The observer, the master monitor, the Fencer's two goroutines, KeepReplicationConfig, KeepRefusals and the HTTP
// server call it, too. Status and Watch wait for no change: they make none.
type Redis struct {
	server *redis.Server
	creds  redis.Options
	log    *slog.Logger

	probeNow  chan struct{}         // asks the watch for a probe, after a change
	emergency *redis.EmergencyFence // its connection is opened during a term; it has a mutex of its own

	leading atomic.Bool // a takeover or a term of ours is under way: it alone moves the server between roles

	changing chan struct{}            // full while a change is under way, which alone uses fences
	fences   map[fenceReason]struct{} // why the server is fenced; it is unfenced once none is left
}

// New returns our own server. From now on nothing else may use s.
func New(s *redis.Server, creds redis.Options, log *slog.Logger) *Redis {
	return &Redis{server: s, creds: creds, log: log, probeNow: make(chan struct{}, 1), changing: make(chan struct{}, 1),
		emergency: redis.NewEmergencyFence(creds), fences: map[fenceReason]struct{}{}}
}

// Close ends the connections to the server, that of the emergency fence too.
func (r *Redis) Close() {
	r.emergency.Close()
	r.server.Close()
}

// begin waits until no other change is under way, and begins one, which end ends. It returns an error if the context ends first.
func (r *Redis) begin(ctx context.Context) (end func(), err error) {
	end = func() { <-r.changing }
	select {
	case r.changing <- struct{}{}:
		return end, nil
	default:
	}
	select {
	case r.changing <- struct{}{}:
		return end, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for another change of redis %s: %w", r.Addr(), context.Cause(ctx))
	}
}

// Addr is the host:port of the server.
func (r *Redis) Addr() string { return r.server.Addr() }

// Status asks the server. It waits for no change that is under way. Its errors are those of redis.Server.Status.
func (r *Redis) Status(ctx context.Context) (redis.Status, error) { return r.server.Status(ctx) }

// Watch reports the server's health until the context ends: see redis.Server.Watch. Its caller passes ProbeRequests as now, so
// that each change is seen at once.
func (r *Redis) Watch(ctx context.Context, p redis.Probe, now <-chan struct{}, report func(redis.Health)) {
	r.server.Watch(ctx, p, now, report)
}

// ProbeRequests receives when the server is to be probed now.
func (r *Redis) ProbeRequests() <-chan struct{} { return r.probeNow }

// ProbeSoon asks for a probe now, because the server was changed. It does not wait for the probe.
func (r *Redis) ProbeSoon() { observable.Signal(r.probeNow) }

// BeginLeading notes that a takeover or a term of ours begins. It waits for a change that is under way, unless the context ends.
func (r *Redis) BeginLeading(ctx context.Context) {
	r.leading.Store(true)
	if end, err := r.begin(ctx); err == nil {
		end()
	}
}

// EndLeading notes that the takeover or the term is over.
func (r *Redis) EndLeading() { r.leading.Store(false) }

// KeepEmergencyFence keeps a connection open for SendEmergencyFence until the context ends, and waits for no change that is under
// way. It logs the first of failures in a row.
func (r *Redis) KeepEmergencyFence(ctx context.Context) {
	var failing logonce.Once
	r.emergency.Keep(ctx, r.server, func(err error) {
		switch {
		case err == nil:
			failing.Reset()
		case failing.Changed(redis.Summary(err)):
			r.log.Debug("no connection for the emergency fence, retrying", "event", "emergency_fence_not_ready",
				"redis", r.Addr(), "err", err)
		}
	})
}

// SendEmergencyFence writes fence and park to the socket of a server that is frozen, and waits for no change that is under way.
// Its errors are those of redis.EmergencyFence.Send.
func (r *Redis) SendEmergencyFence(ctx context.Context) error { return r.emergency.Send(ctx) }
