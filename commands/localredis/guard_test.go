package localredis

import (
	"context"
	"errors"
	"testing"
	"time"

	"resec/commands/cluster"
	"resec/commands/expect"
	"resec/commands/known/knowntest"
)

func TestRedis_Guard(t *testing.T) {
	t.Parallel()
	own, r, set, reset := resettable(t)
	guard := cluster.MinReplicas{Replicas: 1, MaxLag: 4}
	t.Run("a guard ends every fence", func(t *testing.T) {
		reset(t)
		expect.OK(t, own.fence(t.Context(), fencedForStall))
		own.probed()
		expect.OK(t, own.SetGuard(t.Context(), status(t, own), guard, knowntest.Lasting(), time.Hour))
		st := status(t, own)
		expect.Equal(t, "guard", cluster.MinReplicas{Replicas: st.MinReplicas, MaxLag: st.MaxLag}, guard)
		expect.Equal(t, "fenced for a stall", own.fencedFor(fencedForStall), false)
		expect.Equal(t, "probed", own.probed(), true)
	})
	for name, change := range map[string]func(*testing.T){
		"a fence":      func(t *testing.T) { expect.OK(t, own.fence(t.Context(), fencedForStall)) },
		"its guard":    func(t *testing.T) { set(t, "min-replicas-to-write", "2") },
		"its lag":      func(t *testing.T) { set(t, "min-replicas-max-lag", "7") },
		"its role":     func(t *testing.T) { expect.OK(t, own.Park(t.Context())) },
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
			if err := own.SetGuard(t.Context(), decided, guard, knowntest.Lasting(), time.Hour); !errors.Is(err, ErrChangedMeanwhile) {
				t.Errorf("got %v", err)
			}
			after := status(t, own)
			expect.Equal(t, "min-replicas-to-write", after.MinReplicas, before.MinReplicas)
			expect.Equal(t, "min-replicas-max-lag", after.MaxLag, before.MaxLag)
			expect.Equal(t, "fenced for a stall", own.fencedFor(fencedForStall), name == "a fence")
		})
	}
	t.Run("a process that stalls while it ends a fence sets it again", func(t *testing.T) {
		reset(t)
		expect.OK(t, own.SetGuard(t.Context(), status(t, own), guard, knowntest.Lasting(), 0)) // without a fence that is no matter
		expect.OK(t, own.fence(t.Context(), fencedForLoss))
		if err := own.SetGuard(t.Context(), status(t, own), guard, knowntest.Lasting(), 0); !errors.Is(err, ErrStalled) {
			t.Errorf("got %v", err)
		}
		expect.Equal(t, "fenced", status(t, own).Fenced(), true)
		expect.Equal(t, "for a stall", own.fencedFor(fencedForStall), true)
		expect.Equal(t, "for a loss", own.fencedFor(fencedForLoss), false)
		set(t, "min-replicas-to-write", "0")
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		expect.OK(t, own.fenceAgain(ended)) // the term may have ended because of the stall
		expect.Equal(t, "fenced", status(t, own).Fenced(), true)
	})
	t.Run("the operator's settings end every fence", func(t *testing.T) {
		reset(t)
		expect.OK(t, own.fence(t.Context(), fencedForStall))
		own.probed()
		expect.OK(t, own.RestoreSettings(t.Context(), cluster.MinReplicas{Replicas: 2, MaxLag: 9}))
		st := status(t, own)
		set := cluster.MinReplicas{Replicas: st.MinReplicas, MaxLag: st.MaxLag}
		expect.Equal(t, "settings", set, cluster.MinReplicas{Replicas: 2, MaxLag: 9})
		expect.Equal(t, "fenced for a stall", own.fencedFor(fencedForStall), false)
		expect.Equal(t, "probed", own.probed(), true)
	})
	t.Run("the fence of a stall is cleared on a fenced master alone", func(t *testing.T) {
		reset(t)
		expect.OK(t, own.fence(t.Context(), fencedForLoss))
		clear := func(runID string) { expect.OK(t, own.ClearStallFence(t.Context(), runID, guard)) }
		run := status(t, own).RunID
		clear(run)
		expect.Equal(t, "fenced for a loss", status(t, own).Fenced(), true)
		expect.OK(t, own.fence(t.Context(), fencedForStall))
		clear("run-old")
		expect.Equal(t, "another instance", status(t, own).Fenced(), true)
		expect.OK(t, own.Park(t.Context()))
		clear(run)
		expect.Equal(t, "a replica", status(t, own).Fenced(), true)
		_, err := r.Do("REPLICAOF", "NO", "ONE")
		expect.OK(t, err)
		set(t, "min-replicas-to-write", "3")
		clear(run)
		expect.Equal(t, "an unfenced one", status(t, own).MinReplicas, 3)
		expect.OK(t, own.fence(t.Context(), fencedForStall))
		clear(run)
		expect.Equal(t, "guard", status(t, own).MinReplicas, 1)
		expect.Equal(t, "fenced for a stall", own.fencedFor(fencedForStall), false)
	})
}
