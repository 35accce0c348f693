package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"strings"
	"testing"

	"resec/commands/cluster"
	"resec/commands/cluster/clustertest"
	"resec/commands/expect"
	"resec/commands/known"
	"resec/commands/localredis"
	"resec/commands/lock"
	"resec/handlers"
	"resec/handlers/redis"
	"resec/scripts/lab"
)

// The published master must still hold the lock before our Redis follows it.
func TestConfirmHolder(t *testing.T) {
	t.Parallel()
	a := onConsul(t)
	s := session(t, a)
	k := known.Snapshot{}
	k.View = acquire(t, a, s, "b", master("b", "run-b", 1))
	expect.OK(t, a.confirmHolder(t.Context(), k))
	restarted := k
	restarted.View.State.Master = master("b", "run-old", 1)
	if err := a.confirmHolder(t.Context(), restarted); !errors.Is(err, lock.ErrChanged) {
		t.Errorf("another instance: %v", err)
	}
	expect.OK(t, a.Lock.Release(t.Context(), s.ID, k.View, ""))
	if err := a.confirmHolder(t.Context(), k); !errors.Is(err, lock.ErrChanged) {
		t.Errorf("the lock is free: %v", err)
	}
	a.Lock.Client = answering(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	if err := a.confirmHolder(t.Context(), k); !errors.Is(err, errUnconfirmed) {
		t.Errorf("consul does not answer: %v", err)
	}
}

// A fenced master is left alone while there is no master to follow: a takeover may make another member catch up from it.
func TestIsSource(t *testing.T) {
	fenced := redis.Status{Master: true, MinReplicas: math.MaxInt32}
	refused := fmt.Errorf("follow a:1: %w: it is a replica", handlers.ErrNotMaster)
	expect.Equal(t, "a source", isSource(fenced, refused), true)
	expect.Equal(t, "refused", errors.Is(refused, handlers.ErrRefused), true)
	expect.Equal(t, "a writable master", isSource(redis.Status{Master: true}, refused), false)
	expect.Equal(t, "a replica", isSource(redis.Status{MinReplicas: math.MaxInt32}, refused), false)
	expect.Equal(t, "the master is empty", isSource(fenced, fmt.Errorf("%w: it is empty", handlers.ErrRefused)), false)
}

// A text that is logged once must not change from one try to the next.
func TestFollowFailure(t *testing.T) {
	refused := fmt.Errorf("%w: its data are newer", handlers.ErrRefused)
	expect.Equal(t, "refused", followFailure(refused), refused.Error())
	expect.Equal(t, "unconfirmed", followFailure(fmt.Errorf("%w: port 34567", errUnconfirmed)), errUnconfirmed.Error())
	expect.Equal(t, "other", followFailure(context.DeadlineExceeded), "it does not answer")
}

// Nothing is put right on a Redis that is a master, down, or whose cluster is paused: without a server any attempt panics.
func TestReconcile_LeavesAlone(t *testing.T) {
	writable := func(k *cluster.Snapshot) { k.Health.Status.ReplicaWritable = true }
	for name, k := range map[string]known.Snapshot{
		"a replica as it should be": situation(operators("run-me", 0, 0)),
		"a master":                  leading(writable),
		"one that is down":          situation(writable, failing(errors.New("down"))),
		"one not probed yet":        situation(writable, func(k *cluster.Snapshot) { k.Probed = false }),
		"in a pause":                situation(writable, func(k *cluster.Snapshot) { k.Paused = true }),
		"settings not persisted":    situation(operators("run-me", 1, 10)),
		"a fenced one":              situation(operators("run-me", 1, 10), persisted(1, 10), clustertest.FencedRedis),
		"another instance":          situation(operators("run-old", 1, 10), persisted(1, 10)),
	} {
		t.Run(name, func(*testing.T) { newController(bareAgent()).reconcile(t.Context(), k) })
	}
}

// persisted sets the operator's settings as our member key in Consul has them.
func persisted(replicas, maxLag int) func(*cluster.Snapshot) {
	return func(k *cluster.Snapshot) {
		k.View.LiveAgents = map[string]cluster.MemberKey{"me": {Session: "mine", RunID: "run-me",
			OperatorGuard: cluster.MinReplicas{Replicas: replicas, MaxLag: maxLag}}}
	}
}

// Our Redis is parked if the master refuses it. If the master does not answer, it stays as it is.
func TestFollow(t *testing.T) {
	t.Parallel()
	const elsewhere = "127.0.0.1:2"
	for _, tt := range []struct {
		name    string
		prepare func(t *testing.T, published *lab.Redis, k *known.Snapshot)
		want    string // what our Redis follows then
		refused bool
		fails   bool
	}{
		{"a master", func(*testing.T, *lab.Redis, *known.Snapshot) {}, "", false, false},
		{"a replica, which refuses", func(t *testing.T, published *lab.Redis, _ *known.Snapshot) {
			_, err := published.Do("REPLICAOF", "127.0.0.1", "3")
			expect.OK(t, err)
		}, redis.Sink, true, true},
		{"one that refuses a redis that was parked already", func(t *testing.T, published *lab.Redis, k *known.Snapshot) {
			_, err := published.Do("REPLICAOF", "127.0.0.1", "3")
			expect.OK(t, err)
			k.Health.Status.MasterAddr = redis.Sink
		}, elsewhere, true, true},
		{"one that is down", func(_ *testing.T, published *lab.Redis, _ *known.Snapshot) {
			published.Kill()
		}, elsewhere, false, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			a, own := onServers(t)
			_, err := own.Do("REPLICAOF", "127.0.0.1", "2")
			expect.OK(t, err)
			published, err := lab.ForTest(t).StartRedis("published")
			expect.OK(t, err)
			run, err := published.Info("run_id")
			expect.OK(t, err)
			k := known.Snapshot{}
			m := master("b", run, 1)
			m.Address = published.Addr
			k.View = acquire(t, a, session(t, a), "b", m)
			k.Fresh, k.Probed, k.Health.Status = true, true, status(t, a.local)
			tt.prepare(t, published, &k)
			a.known.Update(func(is *known.Snapshot) { *is = k })
			err = newController(a).follow(t.Context(), k)
			if (err != nil) != tt.fails || errors.Is(err, handlers.ErrRefused) != tt.refused {
				t.Errorf("got %v", err)
			}
			want := tt.want
			if want == "" {
				want = published.Addr
			}
			expect.Equal(t, "follows", status(t, a.local).MasterAddr, want)
			expect.Equal(t, "there is a reason", a.known.Load().Reason != "", tt.fails)
		})
	}
}

// That the operator's settings cannot be restored is logged once, and again after it has worked.
func TestReconcile_CannotRestoreSettings(t *testing.T) {
	t.Parallel()
	a, r := onServers(t)
	do := func(args ...string) {
		t.Helper()
		_, err := r.Do(args...)
		expect.OK(t, err)
	}
	do("ACL", "SETUSER", "limited", "on", ">secret", "~*", "&*", "+@all", "-config|set")
	do("REPLICAOF", "127.0.0.1", "1")
	a.Creds.Login = redis.StaticLogin("limited", "secret")
	s, err := redis.Open(t.Context(), a.Creds)
	expect.OK(t, err)
	a.local = localredis.New(s, a.Creds, slog.New(slog.DiscardHandler))
	t.Cleanup(a.local.Close)
	var log expect.Log
	a.Log = slog.New(slog.NewTextHandler(&log, nil))
	c := newController(a)
	reconcile := func(logged int) {
		t.Helper()
		st := status(t, a.local)
		operator := cluster.MinReplicas{Replicas: 0, MaxLag: 10}
		k := situation(operators(st.RunID, operator.Replicas, operator.MaxLag), func(k *cluster.Snapshot) {
			k.Health.Status = st
			k.View.LiveAgents = map[string]cluster.MemberKey{"me": {Session: "mine", RunID: st.RunID, OperatorGuard: operator}}
		})
		c.reconcile(t.Context(), k)
		expect.Equal(t, "failures logged", strings.Count(log.String(), "event=restore_settings_failed"), logged)
	}
	do("CONFIG", "SET", "min-replicas-to-write", "1", "min-replicas-max-lag", "4")
	reconcile(1)
	reconcile(1)
	expect.Equal(t, "guard", status(t, a.local).MinReplicas, 1)
	do("ACL", "SETUSER", "limited", "+config|set")
	reconcile(1)
	expect.Equal(t, "guard", status(t, a.local).MinReplicas, 0)
	expect.Equal(t, "lag", status(t, a.local).MaxLag, 10)
	do("ACL", "SETUSER", "limited", "-config|set")
	do("CONFIG", "SET", "min-replicas-to-write", "1")
	reconcile(2)
	reconcile(2)
	r.Kill()
	k := situation(operators("run-me", 0, 10), persisted(0, 10), func(k *cluster.Snapshot) { k.Health.Status.MinReplicas = 1 })
	c.reconcile(t.Context(), k)
	c.reconcile(t.Context(), k)
	expect.Equal(t, "another failure is logged once", strings.Count(log.String(), "event=restore_settings_failed"), 3)
}

// That replica-read-only cannot be set is logged once, and that it is set as often as it happens.
func TestReconcile_CannotSetReadOnly(t *testing.T) {
	t.Parallel()
	a, r := onServers(t)
	do := func(args ...string) {
		t.Helper()
		_, err := r.Do(args...)
		expect.OK(t, err)
	}
	do("REPLICAOF", "127.0.0.1", "1")
	do("CONFIG", "SET", "replica-read-only", "no")
	var log expect.Log
	a.Log = slog.New(slog.NewTextHandler(&log, nil))
	c := newController(a)
	reconcile := func(set, failed int) {
		t.Helper()
		st := status(t, a.local)
		c.reconcile(t.Context(), situation(func(k *cluster.Snapshot) { k.Health.Status = st }))
		expect.Equal(t, "set", strings.Count(log.String(), "event=read_only_set"), set)
		expect.Equal(t, "failures logged", strings.Count(log.String(), "event=read_only_failed"), failed)
	}
	do("ACL", "SETUSER", "default", "-config|set")
	reconcile(0, 1)
	reconcile(0, 1)
	do("ACL", "SETUSER", "default", "+config|set")
	reconcile(1, 1)
	reconcile(1, 1)
	expect.Equal(t, "writable", status(t, a.local).ReplicaWritable, false)
	over, end := context.WithCancel(t.Context())
	end()
	expect.Equal(t, "set by an agent that has ended", c.setReadOnly(over), false)
	expect.Equal(t, "failures logged", strings.Count(log.String(), "event=read_only_failed"), 1)
}
