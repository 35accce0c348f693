package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"resec/commands/cluster"
	"resec/commands/lock"
	"resec/commands/observable"
	"resec/handlers"
	"resec/handlers/redis"
)

// fenceReason is why the agent has fenced our Redis outside of a takeover.
type fenceReason string

const (
	fencedForStall fenceReason = "stall"     // this process did not run for long
	fencedForLease fenceReason = "lease end" // the lease is over, and there is no guard
	fencedForLoss  fenceReason = "lock loss" // the lock is another member's, and there is no guard
)

// localRedis is the only type that changes our own Redis, one change at a time. A change that depends on what Redis was when it
// was decided (parkIfFollowing, setGuard) looks again under the same mutex.
type localRedis struct {
	server *redis.Server
	creds  redis.Options
	log    *slog.Logger

	probeNow  chan struct{}         // asks the watch for a probe, after a change
	emergency *redis.EmergencyFence // its connection is opened during a term; it has a mutex of its own

	leading atomic.Bool // a takeover or a term of ours is under way: it alone moves Redis between roles

	mu     sync.Mutex
	fences map[fenceReason]struct{} // why Redis is fenced; it is unfenced once none is left
}

func newLocalRedis(s *redis.Server, creds redis.Options, log *slog.Logger) *localRedis {
	return &localRedis{server: s, creds: creds, log: log, probeNow: make(chan struct{}, 1),
		emergency: redis.NewEmergencyFence(creds), fences: map[fenceReason]struct{}{}}
}

func (l *localRedis) close() { l.emergency.Close() }

// addr is the host:port of Redis.
func (l *localRedis) addr() string { return l.server.Addr() }

// probeSoon asks for a probe now, because Redis was changed.
func (l *localRedis) probeSoon() { observable.Signal(l.probeNow) }

// status asks Redis. It waits for no change that is under way.
func (l *localRedis) status(ctx context.Context) (redis.Status, error) { return l.server.Status(ctx) }

// setLeading notes that a takeover or a term of ours begins or ends. The begin waits for a change that is under way.
func (l *localRedis) setLeading(is bool) {
	if !is {
		l.leading.Store(false)
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.leading.Store(true)
}

// follow makes Redis a replica of the target. Its errors are those of handlers.Replicate. The mutex is taken once the target has
// answered and is confirmed, so that a slow server or Consul delays no other change of our Redis.
func (l *localRedis) follow(ctx context.Context, to handlers.Target) (handlers.Result, error) {
	confirm, locked := to.Confirm, false
	defer func() {
		if locked {
			l.mu.Unlock()
		}
	}()
	to.Confirm = func(ctx context.Context) error {
		if confirm != nil {
			if err := confirm(ctx); err != nil {
				return err
			}
		}
		l.mu.Lock()
		locked = true
		return nil
	}
	res, err := handlers.Replicate(ctx, l.server, to, l.creds)
	if locked && err == nil {
		clear(l.fences) // a replica has none
	}
	if res.Changed {
		l.probeSoon()
	}
	return res, err
}

// park makes Redis a replica of nothing: see redis.Sink.
func (l *localRedis) park(ctx context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.probeSoon()
	return l.server.Park(ctx)
}

// parkIfFollowing parks Redis if it follows that address and no term of ours is under way: a takeover parks by itself. It
// reports whether it parked.
func (l *localRedis) parkIfFollowing(ctx context.Context, addr string) (bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.leading.Load() {
		return false, nil
	}
	st, err := l.server.Status(ctx)
	if err != nil || st.Master || st.MasterAddr != addr {
		return false, err
	}
	defer l.probeSoon()
	return true, l.server.Park(ctx)
}

// fence makes Redis refuse writes. It stays fenced until unfence has removed every reason, or setGuard has set a guard.
func (l *localRedis) fence(ctx context.Context, why fenceReason) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fences[why] = struct{}{} // even if the answer is lost: it may have been done
	err := l.server.Fence(ctx)
	l.probeSoon()
	return err
}

// forgetFence removes a reason without a change of Redis: it is another instance by now, or no master.
func (l *localRedis) forgetFence(why fenceReason) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.fences, why)
}

// unfence removes a reason, and unfences Redis if no other is left. It reports whether Redis was unfenced.
func (l *localRedis) unfence(ctx context.Context, why fenceReason) (bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, is := l.fences[why]; !is {
		return false, nil
	}
	if len(l.fences) > 1 {
		delete(l.fences, why)
		return false, nil
	}
	if _, err := l.server.Unfence(ctx); err != nil {
		return false, err
	}
	delete(l.fences, why)
	l.probeSoon()
	return true, nil
}

// errChangedMeanwhile is returned if Redis is no longer as it was when a change was decided.
var errChangedMeanwhile = errors.New("redis has changed meanwhile")

// setGuard sets the guard that was decided by that status, and ends every fence. It returns errChangedMeanwhile if the guard,
// the instance or the role is another by now: a fence that was set meanwhile must not be ended by an older decision. Before it
// ends a fence the lease must last: lock.ErrLease. If this process stalled for longer than limit while it did so, Redis is
// fenced again: another member may have become the master.
func (l *localRedis) setGuard(ctx context.Context, decided redis.Status, to cluster.MinReplicas, lease lock.Lease,
	limit time.Duration) error {
	began := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	now, err := l.server.Status(ctx)
	if err != nil {
		return err
	}
	sameServer := now.RunID == decided.RunID && now.Master == decided.Master
	if !sameServer || now.MinReplicas != decided.MinReplicas || now.MaxLag != decided.MaxLag {
		return errChangedMeanwhile
	}
	if decided.Fenced() && lease.Left(time.Now()) == 0 {
		return lock.ErrLease
	}
	defer l.probeSoon()
	if err := l.server.SetGuard(ctx, to.Replicas, to.MaxLag); err != nil {
		return err
	}
	clear(l.fences)
	if decided.Fenced() && time.Since(began) >= limit {
		l.fences[fencedForStall] = struct{}{}
		return errors.Join(fmt.Errorf("unfence redis %s: this process stalled meanwhile", l.addr()), l.server.Fence(ctx))
	}
	return nil
}

// restoreSettings sets the operator's own min-replicas settings.
func (l *localRedis) restoreSettings(ctx context.Context, o cluster.MinReplicas) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.server.SetGuard(ctx, o.Replicas, o.MaxLag); err != nil {
		l.log.Warn("cannot restore the operator's min-replicas settings", "event", "restore_settings_failed",
			"redis", l.addr(), "err", err)
		return err
	}
	clear(l.fences)
	l.log.Info("operator's min-replicas settings are restored", "event", "settings_restored",
		"redis", l.addr(), "min_replicas", o.Replicas, "max_lag", o.MaxLag)
	l.probeSoon()
	return nil
}

// clearStallFence sets the published guard on a master that is fenced only because this process stalled. Consul is down, so
// no agent can have lowered that guard meanwhile, and this process runs again.
func (l *localRedis) clearStallFence(ctx context.Context, st redis.Status, published cluster.MinReplicas) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, is := l.fences[fencedForStall]; !is || !st.Master || !st.Fenced() {
		return nil
	}
	if err := l.server.SetGuard(ctx, published.Replicas, published.MaxLag); err != nil {
		return err
	}
	clear(l.fences)
	return nil
}

// setReadOnly makes Redis refuse writes while it is a replica.
func (l *localRedis) setReadOnly(ctx context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.probeSoon()
	return l.server.ReadOnly(ctx)
}

// configureReplication gives Redis what its link to a master will need.
func (l *localRedis) configureReplication(ctx context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.server.ConfigureReplication(ctx)
}
