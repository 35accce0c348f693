package agent

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"testing"
	"time"

	"resec/commands/cluster"
	"resec/commands/lock"
	"resec/handlers"
	"resec/handlers/redis"
	"resec/scripts/lab"
)

// ok fails the test on an error.
func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// localServer is our own Redis, which is real, and a master without any setting of its own.
func localServer(t *testing.T) (*localRedis, *lab.Redis) {
	t.Helper()
	r, err := lab.ForTest(t).StartRedis("own")
	ok(t, err)
	creds := redis.Options{Addr: r.Addr, Timeout: 10 * time.Second, Name: "resec:me"}
	s, err := redis.Open(t.Context(), creds)
	ok(t, err)
	t.Cleanup(s.Close)
	l := newLocalRedis(s, creds, slog.New(slog.DiscardHandler))
	t.Cleanup(l.close)
	return l, r
}

// now is our Redis's status.
func (l *localRedis) now(t *testing.T) redis.Status {
	t.Helper()
	st, err := l.status(t.Context())
	ok(t, err)
	return st
}

// probed reports whether a probe was asked for since the last call.
func (l *localRedis) probed() bool {
	select {
	case <-l.probeNow:
		return true
	default:
		return false
	}
}

// fencedFor reports whether the agent has fenced Redis for that reason.
func (l *localRedis) fencedFor(why fenceReason) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, is := l.fences[why]
	return is
}

// unfence removes a reason.
func unfence(t *testing.T, l *localRedis, why fenceReason) {
	t.Helper()
	_, err := l.unfence(t.Context(), why)
	ok(t, err)
}

// lasting is a lease that lasts.
func lasting() lock.Lease {
	end := &lock.RenewalDeadline{}
	end.Extend(time.Now(), time.Hour)
	return lock.Lease{end}
}

func TestLocalRedis(t *testing.T) {
	l, r := localServer(t)
	set := func(t *testing.T, args ...string) {
		t.Helper()
		_, err := r.Do(append([]string{"CONFIG", "SET"}, args...)...)
		ok(t, err)
	}
	reset := func(t *testing.T) {
		t.Helper()
		_, err := r.Do("REPLICAOF", "NO", "ONE")
		ok(t, err)
		set(t, "min-replicas-to-write", "0", "min-replicas-max-lag", "10")
		l.setLeading(false)
		clear(l.fences)
		l.probed()
	}
	guard := cluster.MinReplicas{Replicas: 1, MaxLag: 4}

	t.Run("a fence is lifted with its last reason", func(t *testing.T) {
		reset(t)
		ok(t, l.fence(t.Context(), fencedForStall))
		equal(t, "probed", l.probed(), true)
		ok(t, l.fence(t.Context(), fencedForLease))
		equal(t, "fenced", l.now(t).Fenced(), true)
		equal(t, "for a stall", l.fencedFor(fencedForStall), true)
		equal(t, "for a loss", l.fencedFor(fencedForLoss), false)
		l.probed()
		unfence(t, l, fencedForStall)
		equal(t, "fenced for its lease", l.now(t).Fenced(), true)
		equal(t, "probed", l.probed(), false)
		unfence(t, l, fencedForStall) // for which it is not fenced any more
		equal(t, "fenced for its lease", l.now(t).Fenced(), true)
		unfence(t, l, fencedForLease)
		equal(t, "fenced", l.now(t).Fenced(), false)
		equal(t, "probed", l.probed(), true)
		equal(t, "as before", l.now(t).MinReplicas, 0)
	})
	t.Run("a fence of another process is not lifted", func(t *testing.T) {
		reset(t)
		ok(t, l.fence(t.Context(), fencedForStall))
		l.forgetFence(fencedForStall)
		unfence(t, l, fencedForStall)
		equal(t, "fenced", l.now(t).Fenced(), true)
	})
	t.Run("a fence whose answer is lost keeps its reason", func(t *testing.T) {
		reset(t)
		ended, end := context.WithCancel(t.Context())
		end()
		if err := l.fence(ended, fencedForLoss); err == nil {
			t.Error("there is no error")
		}
		equal(t, "fenced for a loss", l.fencedFor(fencedForLoss), true)
		ok(t, l.fence(t.Context(), fencedForLoss))
		if _, err := l.unfence(ended, fencedForLoss); err == nil {
			t.Error("there is no error")
		}
		equal(t, "fenced for a loss", l.fencedFor(fencedForLoss), true)
	})
	t.Run("a guard ends every fence", func(t *testing.T) {
		reset(t)
		ok(t, l.fence(t.Context(), fencedForStall))
		l.probed()
		ok(t, l.setGuard(t.Context(), l.now(t), guard, lasting(), time.Hour))
		st := l.now(t)
		equal(t, "guard", cluster.MinReplicas{Replicas: st.MinReplicas, MaxLag: st.MaxLag}, guard)
		equal(t, "fenced for a stall", l.fencedFor(fencedForStall), false)
		equal(t, "probed", l.probed(), true)
	})
	for name, change := range map[string]func(*testing.T){
		"a fence":      func(t *testing.T) { ok(t, l.fence(t.Context(), fencedForStall)) },
		"its guard":    func(t *testing.T) { set(t, "min-replicas-to-write", "2") },
		"its lag":      func(t *testing.T) { set(t, "min-replicas-max-lag", "7") },
		"its role":     func(t *testing.T) { ok(t, l.park(t.Context())) },
		"its instance": func(t *testing.T) {},
	} {
		t.Run("a guard that was decided before a change of "+name, func(t *testing.T) {
			reset(t)
			decided := l.now(t)
			change(t)
			if name == "its instance" {
				decided.RunID = "run-old"
			}
			before := l.now(t)
			if err := l.setGuard(t.Context(), decided, guard, lasting(), time.Hour); !errors.Is(err, errChangedMeanwhile) {
				t.Errorf("got %v", err)
			}
			after := l.now(t)
			equal(t, "min-replicas-to-write", after.MinReplicas, before.MinReplicas)
			equal(t, "min-replicas-max-lag", after.MaxLag, before.MaxLag)
			equal(t, "fenced for a stall", l.fencedFor(fencedForStall), name == "a fence")
		})
	}
	t.Run("a process that stalls while it ends a fence sets it again", func(t *testing.T) {
		reset(t)
		ok(t, l.setGuard(t.Context(), l.now(t), guard, lasting(), 0)) // without a fence that is no matter
		ok(t, l.fence(t.Context(), fencedForLoss))
		if err := l.setGuard(t.Context(), l.now(t), guard, lasting(), 0); err == nil {
			t.Error("there is no error")
		}
		equal(t, "fenced", l.now(t).Fenced(), true)
		equal(t, "for a stall", l.fencedFor(fencedForStall), true)
		equal(t, "for a loss", l.fencedFor(fencedForLoss), false)
	})
	t.Run("the operator's settings end every fence", func(t *testing.T) {
		reset(t)
		ok(t, l.fence(t.Context(), fencedForStall))
		l.probed()
		ok(t, l.restoreSettings(t.Context(), cluster.MinReplicas{Replicas: 2, MaxLag: 9}))
		st := l.now(t)
		equal(t, "settings", cluster.MinReplicas{Replicas: st.MinReplicas, MaxLag: st.MaxLag}, cluster.MinReplicas{Replicas: 2, MaxLag: 9})
		equal(t, "fenced for a stall", l.fencedFor(fencedForStall), false)
		equal(t, "probed", l.probed(), true)
	})
	t.Run("the fence of a stall is cleared on a fenced master alone", func(t *testing.T) {
		reset(t)
		ok(t, l.fence(t.Context(), fencedForLoss))
		ok(t, l.clearStallFence(t.Context(), l.now(t), guard))
		equal(t, "fenced for a loss", l.now(t).Fenced(), true)
		ok(t, l.fence(t.Context(), fencedForStall))
		ok(t, l.clearStallFence(t.Context(), redis.Status{Master: true}, guard))
		equal(t, "an unfenced one", l.now(t).Fenced(), true)
		ok(t, l.clearStallFence(t.Context(), redis.Status{MinReplicas: math.MaxInt32}, guard))
		equal(t, "a replica", l.now(t).Fenced(), true)
		ok(t, l.clearStallFence(t.Context(), l.now(t), guard))
		equal(t, "guard", l.now(t).MinReplicas, 1)
		equal(t, "fenced for a stall", l.fencedFor(fencedForStall), false)
	})
	t.Run("it is parked only while it follows that master and does not lead", func(t *testing.T) {
		reset(t)
		const master = "127.0.0.1:2"
		parks := func(want bool, addr string) {
			t.Helper()
			l.probed()
			parked, err := l.parkIfFollowing(t.Context(), addr)
			ok(t, err)
			equal(t, "parked", parked, want)
			equal(t, "probed", l.probed(), want)
			equal(t, "parked", l.now(t).Parked(), want)
		}
		parks(false, "") // it is a master
		_, err := r.Do("REPLICAOF", "127.0.0.1", "2")
		ok(t, err)
		parks(false, "127.0.0.1:3")
		l.setLeading(true)
		parks(false, master)
		l.setLeading(false)
		parks(true, master)
	})
	t.Run("it refuses writes as a replica", func(t *testing.T) {
		reset(t)
		set(t, "replica-read-only", "no")
		ok(t, l.setReadOnly(t.Context()))
		equal(t, "writable", l.now(t).ReplicaWritable, false)
		equal(t, "probed", l.probed(), true)
	})
	t.Run("it follows, and is probed if that is new", func(t *testing.T) {
		reset(t)
		other, err := lab.ForTest(t).StartRedis("other")
		ok(t, err)
		runID, err := other.Info("run_id")
		ok(t, err)
		for _, changed := range []bool{true, false} {
			res, err := l.follow(t.Context(), handlers.Target{Addr: other.Addr, RunID: runID})
			ok(t, err)
			equal(t, "changed", res.Changed, changed)
			equal(t, "probed", l.probed(), changed)
		}
		equal(t, "follows", l.now(t).MasterAddr, other.Addr)
	})
}
