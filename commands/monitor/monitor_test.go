package monitor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"resec/commands/cluster"
	"resec/commands/cluster/clustertest"
	"resec/commands/consultest"
	"resec/commands/expect"
	"resec/commands/known"
	"resec/commands/localredis"
	"resec/commands/logonce"
	"resec/commands/observable"
	"resec/handlers/redis"
	"resec/scripts/lab"
)

// TestMain fails if a goroutine is left when all tests are over.
func TestMain(m *testing.M) { os.Exit(consultest.Main(m)) }

// bare is the monitor of "me", without any server.
func bare(early bool) *Monitor {
	return &Monitor{ID: "me", Known: observable.New[known.Snapshot](), EarlyTakeover: early,
		Creds: redis.Options{Timeout: 10 * time.Second, Name: "resec:me"}, NoteAddress: func(string, string, error) {},
		Probe: redis.Probe{Every: time.Second, Timeout: 5 * time.Second, Failures: 1}, Log: slog.New(slog.DiscardHandler)}
}

// withRedis is a monitor that parks a real Redis.
func withRedis(t *testing.T, early bool) (*Monitor, *lab.Redis, *localredis.Redis) {
	t.Helper()
	r, err := lab.ForTest(t).StartRedis("own")
	expect.OK(t, err)
	m := bare(early)
	s, err := redis.Open(t.Context(), m.Creds.At(r.Addr))
	expect.OK(t, err)
	own := localredis.New(s, m.Creds.At(r.Addr), m.Log)
	t.Cleanup(own.Close)
	m.Own, m.ParkIfFollowing = own.Status, own.ParkIfFollowing
	return m, r, own
}

// Our Redis is parked when its master is down or another instance answers there, and only then.
func TestMonitor_Parks(t *testing.T) {
	t.Parallel()
	m, r, own := withRedis(t, false)
	of := *clustertest.Situation().View.State.Master
	of.Address = "127.0.0.1:2"
	_, err := r.Do("REPLICAOF", "127.0.0.1", "2")
	expect.OK(t, err)
	for _, tt := range []struct {
		name string
		h    redis.Health
		want bool
	}{
		{"it answers", redis.Health{Status: redis.Status{RunID: "run-a"}}, false},
		{"it hangs", redis.Health{Err: errTimeout{}, Status: redis.Status{RunID: "run-a"}}, false},
		{"another instance answers", redis.Health{Status: redis.Status{RunID: "run-new"}}, true},
	} {
		m.observe(t.Context(), of, tt.h, &observed{})
		st, err := own.Status(t.Context())
		expect.OK(t, err)
		expect.Equal(t, tt.name, st.Parked(), tt.want)
		expect.Equal(t, "failure without early takeover", m.Known.Load().Failure, cluster.MasterFailure{})
	}
}

// Another member's Redis, or our own, at the master's address is no failure of the master. Ours is parked if it may connect to
// another member's.
func TestMonitor_WrongAddress(t *testing.T) {
	t.Parallel()
	m, r, own := withRedis(t, true)
	var noted []string
	m.NoteAddress = func(id, _ string, err error) {
		noted = append(noted, fmt.Sprint(id, " ", errors.Is(err, cluster.ErrWrongAddress)))
	}
	of := *clustertest.Situation().View.State.Master
	of.Address = "127.0.0.1:2"
	_, err := r.Do("REPLICAOF", "127.0.0.1", "2")
	expect.OK(t, err)
	m.Known.Update(func(k *known.Snapshot) {
		k.Snapshot = clustertest.Situation(func(k *cluster.Snapshot) {
			k.View.LiveAgents["c"] = cluster.MemberKey{Session: "c's", RunID: "run-c"}
		})
	})
	for _, tt := range []struct {
		run    string
		parked bool
	}{{"run-me", false}, {"run-c", true}} {
		m.observe(t.Context(), of, redis.Health{Status: redis.Status{RunID: tt.run}}, &observed{})
		st, err := own.Status(t.Context())
		expect.OK(t, err)
		expect.Equal(t, tt.run, st.Parked(), tt.parked)
		expect.Equal(t, tt.run, m.Known.Load().Failure, cluster.MasterFailure{})
	}
	expect.Equal(t, "noted", strings.Join(noted, ", "), "a true, a true")
}

// A master that is killed is noticed by the end of its connection.
func TestMonitor_Run(t *testing.T) {
	t.Parallel()
	m, r, own := withRedis(t, true)
	other, err := lab.ForTest(t).StartRedis("master")
	expect.OK(t, err)
	runID, err := other.Info("run_id")
	expect.OK(t, err)
	_, err = r.Do("REPLICAOF", other.Host, "6379")
	expect.OK(t, err)
	lab.Eventually(t, expect.Patience, func() error { return r.Follows(other) })
	st, err := own.Status(t.Context())
	expect.OK(t, err)
	m.Known.Update(func(k *known.Snapshot) {
		k.Snapshot = clustertest.Situation(func(k *cluster.Snapshot) {
			k.View.State.Master.RunID, k.View.State.Master.Address, k.Health.Status = runID, other.Addr, st
		})
	})
	ctx, cancel := context.WithCancel(t.Context())
	var done sync.WaitGroup
	done.Go(func() { m.Run(ctx) })
	lab.Eventually(t, expect.Patience, func() error {
		if m.Known.Load().Failure.RunID != runID {
			return errors.New("the master was not probed yet")
		}
		return nil
	})
	expect.Equal(t, "it answers", m.Known.Load().Failure, cluster.MasterFailure{RunID: runID})
	other.Kill()
	lab.Eventually(t, expect.Patience, func() error {
		st, err := own.Status(t.Context())
		if err == nil && !st.Parked() {
			err = errors.New("our redis is not parked")
		}
		return err
	})
	expect.Equal(t, "it is down", m.Known.Load().Failure.Down, true)
	cancel()
	done.Wait()
}

func TestMonitor_Target(t *testing.T) {
	for _, tt := range []struct {
		name  string
		early bool
		k     cluster.Snapshot
		want  string
	}{
		{"the master that it follows", false, clustertest.Situation(), "a"},
		{"parked", false, clustertest.Situation(clustertest.ParkedRedis), ""},
		{"parked, with early takeover", true, clustertest.Situation(clustertest.ParkedRedis), "a"},
		{"of another, with early takeover", true,
			clustertest.Situation(func(k *cluster.Snapshot) { k.Health.Status.MasterAddr = "10.0.0.7:6379" }), ""},
		{"no master is published", true, clustertest.Situation(clustertest.NoState, clustertest.ParkedRedis), ""},
		{"we are published", true, clustertest.Situation(clustertest.PublishedOwn, clustertest.ParkedRedis), ""},
	} {
		m, ok := bare(tt.early).target(known.Snapshot{Snapshot: tt.k})
		expect.Equal(t, tt.name, m.ID, tt.want)
		expect.Equal(t, tt.name, ok, tt.want != "")
	}
}

// A probe of the master that does not answer begins a failure, and one that answers ends it.
func TestMonitor_Observe(t *testing.T) {
	m := bare(true)
	master := *clustertest.Situation().View.State.Master
	observe := func(err error) {
		m.observe(t.Context(), master, redis.Health{Err: err, Status: redis.Status{RunID: "run-a"}}, &observed{})
	}
	observe(errTimeout{})
	since := m.Known.Load().Failure.Since
	expect.Equal(t, "unreachable", m.Known.Load().Failure.Unreachable, true)
	_, changed := m.Known.Watch()
	observe(errTimeout{})
	expect.Equal(t, "since", m.Known.Load().Failure.Since, since)
	select {
	case <-changed:
		t.Error("nothing has changed")
	default:
	}
	observe(nil)
	expect.Equal(t, "it answers", m.Known.Load().Failure, cluster.MasterFailure{RunID: "run-a"})
}

// A master that is down is logged once for as long as our Redis cannot be parked.
func TestMonitor_ParkFails(t *testing.T) {
	m := bare(true)
	var log bytes.Buffer
	m.Log = slog.New(slog.NewTextHandler(&log, nil))
	var failing logonce.Once
	for _, err := range []error{syscall.ECONNREFUSED, syscall.ECONNREFUSED, nil, syscall.ECONNREFUSED} {
		m.ParkIfFollowing = func(context.Context, string) (bool, error) { return err == nil, err }
		m.park(t.Context(), *clustertest.Situation().View.State.Master, "connection refused", &failing)
	}
	expect.Equal(t, "failures logged", strings.Count(log.String(), "event=park_failed"), 2)
	expect.Equal(t, "parks logged", strings.Count(log.String(), "event=master_down"), 1)
}

type errTimeout struct{}

func (errTimeout) Error() string { return "i/o timeout" }

// A probe that failed by a fault of this host's own proves nothing, and is logged once for as long as that lasts.
func TestMonitor_Asked(t *testing.T) {
	m := bare(true)
	var text bytes.Buffer
	m.Log = slog.New(slog.NewTextHandler(&text, nil))
	master := *clustertest.Situation().View.State.Master
	var unasked logonce.Once
	for i, tt := range []struct {
		h     redis.Health
		want  bool
		lines int
	}{
		{redis.Health{LocalErr: syscall.EMFILE}, false, 1}, {redis.Health{LocalErr: syscall.EMFILE}, false, 1},
		{redis.Health{Err: syscall.ECONNREFUSED, LocalErr: syscall.ENETUNREACH}, false, 2}, {redis.Health{}, true, 2},
		{redis.Health{LocalErr: syscall.EMFILE}, false, 3},
	} {
		if got := m.asked(master, tt.h, &unasked); got != tt.want || strings.Count(text.String(), "master_not_asked") != tt.lines {
			t.Errorf("probe %d: %t\n%s", i, got, text.String())
		}
	}
}

// When our Redis answers again the master is probed at once: it may have died while our Redis could not be parked.
func TestMonitor_ProbesOnceOurRedisAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, probeNow := bare(true), make(chan struct{}, 1)
		m.Known.Update(func(k *known.Snapshot) { k.Snapshot = clustertest.Situation() })
		ctx, cancel := context.WithCancel(t.Context())
		var done sync.WaitGroup
		done.Go(func() { m.untilRetargeted(ctx, *m.Known.Load().View.State.Master, probeNow) })
		asked := func(what string, err error, want int) {
			t.Helper()
			m.Known.Update(func(k *known.Snapshot) { k.Health.Err = err })
			synctest.Wait()
			expect.Equal(t, what, len(probeNow), want)
		}
		asked("it answers", nil, 0)
		asked("it hangs", errors.New("timeout"), 0)
		asked("it answers again", nil, 1)
		cancel()
		done.Wait()
	})
}
