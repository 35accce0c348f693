package localredis

import (
	"context"
	"errors"
	"math"
	"testing"
	"time"

	"resec/commands/cluster"
	"resec/handlers"
	"resec/handlers/redis"
	"resec/scripts/lab"
)

func TestRedis(t *testing.T) {
	own, r := localServer(t)
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
		own.SetLeading(false)
		clear(own.fences)
		own.probed()
	}
	guard := cluster.MinReplicas{Replicas: 1, MaxLag: 4}

	t.Run("a fence is lifted with its last reason", func(t *testing.T) {
		reset(t)
		ok(t, own.fence(t.Context(), fencedForStall))
		equal(t, "probed", own.probed(), true)
		ok(t, own.fence(t.Context(), fencedForLease))
		equal(t, "fenced", status(t, own).Fenced(), true)
		equal(t, "for a stall", own.fencedFor(fencedForStall), true)
		equal(t, "for a loss", own.fencedFor(fencedForLoss), false)
		own.probed()
		unfence(t, own, fencedForStall)
		equal(t, "fenced for its lease", status(t, own).Fenced(), true)
		equal(t, "probed", own.probed(), false)
		unfence(t, own, fencedForStall) // for which it is not fenced any more
		equal(t, "fenced for its lease", status(t, own).Fenced(), true)
		unfence(t, own, fencedForLease)
		equal(t, "fenced", status(t, own).Fenced(), false)
		equal(t, "probed", own.probed(), true)
		equal(t, "as before", status(t, own).MinReplicas, 0)
	})
	t.Run("a fence of another process is not lifted", func(t *testing.T) {
		reset(t)
		ok(t, own.fence(t.Context(), fencedForStall))
		own.forgetFence(fencedForStall)
		unfence(t, own, fencedForStall)
		equal(t, "fenced", status(t, own).Fenced(), true)
	})
	t.Run("a fence whose answer is lost keeps its reason", func(t *testing.T) {
		reset(t)
		ended, end := context.WithCancel(t.Context())
		end()
		if err := own.fence(ended, fencedForLoss); err == nil {
			t.Error("there is no error")
		}
		equal(t, "fenced for a loss", own.fencedFor(fencedForLoss), true)
		ok(t, own.fence(t.Context(), fencedForLoss))
		if _, err := own.unfence(ended, fencedForLoss); err == nil {
			t.Error("there is no error")
		}
		equal(t, "fenced for a loss", own.fencedFor(fencedForLoss), true)
	})
	t.Run("a guard ends every fence", func(t *testing.T) {
		reset(t)
		ok(t, own.fence(t.Context(), fencedForStall))
		own.probed()
		ok(t, own.SetGuard(t.Context(), status(t, own), guard, lasting(), time.Hour))
		st := status(t, own)
		equal(t, "guard", cluster.MinReplicas{Replicas: st.MinReplicas, MaxLag: st.MaxLag}, guard)
		equal(t, "fenced for a stall", own.fencedFor(fencedForStall), false)
		equal(t, "probed", own.probed(), true)
	})
	for name, change := range map[string]func(*testing.T){
		"a fence":      func(t *testing.T) { ok(t, own.fence(t.Context(), fencedForStall)) },
		"its guard":    func(t *testing.T) { set(t, "min-replicas-to-write", "2") },
		"its lag":      func(t *testing.T) { set(t, "min-replicas-max-lag", "7") },
		"its role":     func(t *testing.T) { ok(t, own.Park(t.Context())) },
		"its instance": func(t *testing.T) {},
	} {
		t.Run("a guard that was decided before a change of "+name, func(t *testing.T) {
			reset(t)
			decided := status(t, own)
			change(t)
			if name == "its instance" {
				decided.RunID = "run-old"
			}
			before := status(t, own)
			if err := own.SetGuard(t.Context(), decided, guard, lasting(), time.Hour); !errors.Is(err, ErrChangedMeanwhile) {
				t.Errorf("got %v", err)
			}
			after := status(t, own)
			equal(t, "min-replicas-to-write", after.MinReplicas, before.MinReplicas)
			equal(t, "min-replicas-max-lag", after.MaxLag, before.MaxLag)
			equal(t, "fenced for a stall", own.fencedFor(fencedForStall), name == "a fence")
		})
	}
	t.Run("a process that stalls while it ends a fence sets it again", func(t *testing.T) {
		reset(t)
		ok(t, own.SetGuard(t.Context(), status(t, own), guard, lasting(), 0)) // without a fence that is no matter
		ok(t, own.fence(t.Context(), fencedForLoss))
		if err := own.SetGuard(t.Context(), status(t, own), guard, lasting(), 0); err == nil {
			t.Error("there is no error")
		}
		equal(t, "fenced", status(t, own).Fenced(), true)
		equal(t, "for a stall", own.fencedFor(fencedForStall), true)
		equal(t, "for a loss", own.fencedFor(fencedForLoss), false)
	})
	t.Run("the operator's settings end every fence", func(t *testing.T) {
		reset(t)
		ok(t, own.fence(t.Context(), fencedForStall))
		own.probed()
		ok(t, own.RestoreSettings(t.Context(), cluster.MinReplicas{Replicas: 2, MaxLag: 9}))
		st := status(t, own)
		set := cluster.MinReplicas{Replicas: st.MinReplicas, MaxLag: st.MaxLag}
		equal(t, "settings", set, cluster.MinReplicas{Replicas: 2, MaxLag: 9})
		equal(t, "fenced for a stall", own.fencedFor(fencedForStall), false)
		equal(t, "probed", own.probed(), true)
	})
	t.Run("the fence of a stall is cleared on a fenced master alone", func(t *testing.T) {
		reset(t)
		ok(t, own.fence(t.Context(), fencedForLoss))
		ok(t, own.ClearStallFence(t.Context(), status(t, own), guard))
		equal(t, "fenced for a loss", status(t, own).Fenced(), true)
		ok(t, own.fence(t.Context(), fencedForStall))
		ok(t, own.ClearStallFence(t.Context(), redis.Status{Master: true}, guard))
		equal(t, "an unfenced one", status(t, own).Fenced(), true)
		ok(t, own.ClearStallFence(t.Context(), redis.Status{MinReplicas: math.MaxInt32}, guard))
		equal(t, "a replica", status(t, own).Fenced(), true)
		ok(t, own.ClearStallFence(t.Context(), status(t, own), guard))
		equal(t, "guard", status(t, own).MinReplicas, 1)
		equal(t, "fenced for a stall", own.fencedFor(fencedForStall), false)
	})
	t.Run("it is parked only while it follows that master and does not lead", func(t *testing.T) {
		reset(t)
		const master = "127.0.0.1:2"
		parks := func(want bool, addr string) {
			t.Helper()
			own.probed()
			parked, err := own.ParkIfFollowing(t.Context(), addr)
			ok(t, err)
			equal(t, "parked", parked, want)
			equal(t, "probed", own.probed(), want)
			equal(t, "parked", status(t, own).Parked(), want)
		}
		parks(false, "") // it is a master
		_, err := r.Do("REPLICAOF", "127.0.0.1", "2")
		ok(t, err)
		parks(false, "127.0.0.1:3")
		own.SetLeading(true)
		parks(false, master)
		own.SetLeading(false)
		parks(true, master)
	})
	t.Run("it refuses writes as a replica", func(t *testing.T) {
		reset(t)
		set(t, "replica-read-only", "no")
		ok(t, own.SetReadOnly(t.Context()))
		equal(t, "writable", status(t, own).ReplicaWritable, false)
		equal(t, "probed", own.probed(), true)
	})
	t.Run("it follows, and is probed if that is new", func(t *testing.T) {
		reset(t)
		other, err := lab.ForTest(t).StartRedis("other")
		ok(t, err)
		runID, err := other.Info("run_id")
		ok(t, err)
		for _, changed := range []bool{true, false} {
			res, err := own.Follow(t.Context(), handlers.Target{Addr: other.Addr, RunID: runID})
			ok(t, err)
			equal(t, "changed", res.Changed, changed)
			equal(t, "probed", own.probed(), changed)
		}
		equal(t, "follows", status(t, own).MasterAddr, other.Addr)
	})
}
