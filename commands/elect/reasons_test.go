package elect

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"resec/commands/cluster"
	"resec/commands/lock"
	"resec/commands/takeover"
	"resec/handlers"
	"resec/handlers/redis"
)

// usable is a snapshot in which the lock should be acquired, changed.
func usable(change ...func(*snapshot)) snapshot {
	k := snapshot{session: &lock.Session{ID: "ours"}}
	k.Fresh, k.View.Index, k.Probed = true, 7, true
	k.Health.Status = redis.Status{RunID: "r", Priority: 100}
	for _, f := range change {
		f(&k)
	}
	return k
}

func TestNotContendingReason(t *testing.T) {
	now := time.Now()
	paused := func(k *snapshot) { k.View.Pause = &cluster.Pause{Until: now.Add(time.Minute), Reason: "disks"} }
	held := func(holder string) func(*snapshot) {
		return func(k *snapshot) { k.View.Session, k.View.Holder = "s", holder }
	}
	ours := func(k *snapshot) { k.View.Session, k.View.Holder = k.session.ID, "a" }
	for _, tt := range []struct {
		name  string
		k     snapshot
		why   string // for a Redis that is to be promoted
		child string // for a child
	}{
		{"a free lock and a usable redis", usable(), "", ""},
		{"consul has not answered", usable(func(k *snapshot) { k.Fresh = false }), "consul has not answered yet",
			"consul has not answered yet"},
		{"a state that cannot be read", usable(func(k *snapshot) { k.View.Err = errors.New("bad state") }), "bad state", "bad state"},
		{"a pause", usable(paused), "the cluster is " + (&cluster.Pause{Until: now.Add(time.Minute), Reason: "disks"}).String(), ""},
		{"a pause that is over", usable(paused, func(k *snapshot) { k.View.Pause.Until = now.Add(-time.Minute) }), "", ""},
		{"another holder", usable(held("b")), "the lock is held by b", "the lock is held by b"},
		{"a holder without a name", usable(held("")), "the lock is held by an unnamed session",
			"the lock is held by an unnamed session"},
		{"our own session, as after an answer that was lost", usable(ours), "", ""},
		{"our own session, and redis is unusable", usable(ours, func(k *snapshot) { k.Health.Err = errors.New("it is down") }),
			"redis is unusable: it does not answer", ""},
		{"our own session, as consul showed it before an outage", usable(ours, func(k *snapshot) { k.Fresh = false }),
			"consul has not answered yet", "consul has not answered yet"},
		{"no session", usable(func(k *snapshot) { k.session = nil }), "there is no session yet", "there is no session yet"},
		{"redis was not probed", usable(func(k *snapshot) { k.Probed = false }), "redis has not answered yet", ""},
		{"redis is down", usable(func(k *snapshot) { k.Health.Err = errors.New("it is down") }),
			"redis is unusable: it does not answer", ""},
		{"redis is in a full sync", usable(func(k *snapshot) { k.Health.Status.Syncing = true }), "redis is syncing", ""},
		{"redis has priority 0", usable(func(k *snapshot) { k.Health.Status.Priority = 0 }), "its replica-priority is 0", ""},
		{"a master with priority 0", usable(func(k *snapshot) { k.Health.Status.Priority, k.Health.Status.Master = 0, true }), "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if why := tt.k.notContendingReason(false, now); why != tt.why {
				t.Errorf("got %q, want %q", why, tt.why)
			}
			if why := tt.k.notContendingReason(true, now); why != tt.child {
				t.Errorf("for a child: got %q, want %q", why, tt.child)
			}
		})
	}
}

func TestMisconfigured(t *testing.T) {
	for _, tt := range []struct {
		name string
		k    snapshot
		want error
	}{
		{"a key of this cluster", usable(func(k *snapshot) { k.View.State.Service = "redis-master" }), nil},
		{"a state that cannot be read may be repaired", usable(func(k *snapshot) { k.View.Err = errors.New("bad state") }), nil},
		{"a key that is no lock", usable(func(k *snapshot) { k.View.Err = fmt.Errorf("%w: k", cluster.ErrConflict) }),
			cluster.ErrConflict},
		{"the state of another service", usable(func(k *snapshot) { k.View.State.Service = "other" }), cluster.ErrOtherCluster},
		{"redis is down", usable(func(k *snapshot) { k.Health.Err = errors.New("down") }), nil},
		{"redis is too old", usable(func(k *snapshot) { k.Health.Err = fmt.Errorf("%w: 5", redis.ErrTooOld) }), redis.ErrTooOld},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if err := tt.k.misconfigured("redis-master"); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
}

func TestRedisLost(t *testing.T) {
	promoted := time.Now()
	for _, tt := range []struct {
		name string
		k    snapshot
		want string
	}{
		{"not during the promotion", usable(), ""},
		{"not while it is the master", usable(func(k *snapshot) {
			k.promotedAt, k.Health.At, k.Health.Status.Master = promoted, promoted.Add(time.Second), true
		}), ""},
		{"not by a probe from before the promotion",
			usable(func(k *snapshot) { k.promotedAt, k.Health.At = promoted, promoted.Add(-time.Second) }), ""},
		{"not by a probe that began with it", usable(func(k *snapshot) { k.promotedAt, k.Health.At = promoted, promoted }), ""},
		{"once it is a replica again", usable(func(k *snapshot) {
			k.promotedAt, k.Health.At, k.Health.Status.MasterAddr = promoted, promoted.Add(time.Second), "b:1"
		}), "redis was made a replica of b:1"},
		{"once it is unusable", usable(func(k *snapshot) { k.Health.Err = errors.New("down") }), "redis is unusable: down"},
		{"once it was restarted", usable(func(k *snapshot) { k.Health.Status.RunID = "q" }),
			"redis was restarted: it is a new instance"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := ""
			if err := tt.k.redisLost("r"); err != nil {
				got = err.Error()
			}
			if got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// The end of the process is no error, a lost lock is takeover.ErrLost, and a failure of the handler is that.
func TestExitError(t *testing.T) {
	failed := errors.New("exit status 7")
	ctx, end := context.WithCancel(t.Context())
	held, lose := context.WithCancelCause(ctx)
	if err := exitError(ctx, held, failed); !errors.Is(err, failed) || errors.Is(err, takeover.ErrLost) {
		t.Errorf("while the lock is held: %v", err)
	}
	lose(lock.ErrLease)
	if err := exitError(ctx, held, failed); !errors.Is(err, takeover.ErrLost) || !errors.Is(err, lock.ErrLease) {
		t.Errorf("once the lock is lost: %v", err)
	}
	end()
	if err := exitError(ctx, held, failed); err != nil {
		t.Errorf("at the end of the process: %v", err)
	}
}

// handlerFunc is a handler in this process.
type handlerFunc func(ctx context.Context) error

func (f handlerFunc) Handle(ctx context.Context, _ []byte, _ ...string) error { return f(ctx) }

// A promote handler ends after its timeout, a child does not; a fence handler has what is left of the lease.
func TestHandlersAreBounded(t *testing.T) {
	const lease = 15 * time.Second
	var deadline lock.RenewalDeadline
	for _, tt := range []struct {
		name  string
		child bool
		call  func(context.Context, *Election) error
		want  time.Duration // 0: not until its context ends
	}{
		{"promote", false, func(ctx context.Context, e *Election) error {
			_, err := e.promoteByHandler(ctx, takeover.Takeover{}, cluster.View{})
			return err
		}, handlers.Timeout},
		{"a child", true, func(ctx context.Context, e *Election) error {
			_, err := e.promoteByHandler(ctx, takeover.Takeover{}, cluster.View{})
			return err
		}, time.Hour},
		{"fence", false, func(ctx context.Context, e *Election) error {
			deadline.Extend(time.Now(), lease)
			e.lease.Store(&lock.Lease{&deadline})
			return e.fence(ctx, "why")
		}, lease},
		{"fence under a long lease", false, func(ctx context.Context, e *Election) error {
			deadline.Extend(time.Now(), time.Hour)
			e.lease.Store(&lock.Lease{&deadline})
			return e.fence(ctx, "why")
		}, handlers.Timeout},
		{"fence after the lease", false, func(ctx context.Context, e *Election) error { return e.fence(ctx, "why") },
			minFenceTime},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				defer cancel()
				e := &Election{Child: tt.child, HandlerTimeout: handlers.Timeout, Log: slog.New(slog.DiscardHandler),
					Handler: handlerFunc(func(ctx context.Context) error { <-ctx.Done(); return context.Cause(ctx) })}
				if tt.child {
					e.HandlerTimeout = 0 // as by default
				}
				began := time.Now()
				if err := tt.call(ctx, e); err == nil || time.Since(began) != tt.want {
					t.Errorf("it ended after %s, by %v, want %s", time.Since(began), err, tt.want)
				}
			})
		})
	}
}
