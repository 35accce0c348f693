package localredis

import (
	"context"
	"testing"

	"resec/commands/expect"
)

func TestRedis_Fence(t *testing.T) {
	t.Parallel()
	own, _, _, reset := resettable(t)
	t.Run("a fence is lifted with its last reason", func(t *testing.T) {
		reset(t)
		expect.OK(t, own.fence(t.Context(), fencedForStall))
		expect.Equal(t, "probed", own.probed(), true)
		expect.OK(t, own.fence(t.Context(), fencedForLease))
		expect.Equal(t, "fenced", status(t, own).Fenced(), true)
		expect.Equal(t, "for a stall", own.fencedFor(fencedForStall), true)
		expect.Equal(t, "for a loss", own.fencedFor(fencedForLoss), false)
		own.probed()
		unfence(t, own, fencedForStall)
		expect.Equal(t, "fenced for its lease", status(t, own).Fenced(), true)
		expect.Equal(t, "probed", own.probed(), false)
		unfence(t, own, fencedForStall) // for which it is not fenced any more
		expect.Equal(t, "fenced for its lease", status(t, own).Fenced(), true)
		unfence(t, own, fencedForLease)
		expect.Equal(t, "fenced", status(t, own).Fenced(), false)
		expect.Equal(t, "probed", own.probed(), true)
		expect.Equal(t, "as before", status(t, own).MinReplicas, 0)
	})
	t.Run("a fence of another process is not lifted", func(t *testing.T) {
		reset(t)
		expect.OK(t, own.fence(t.Context(), fencedForStall))
		expect.OK(t, own.forgetFence(t.Context(), fencedForStall))
		unfence(t, own, fencedForStall)
		expect.Equal(t, "fenced", status(t, own).Fenced(), true)
	})
	t.Run("a fence whose answer is lost keeps its reason", func(t *testing.T) {
		reset(t)
		ended, end := context.WithCancel(t.Context())
		end()
		if err := own.fence(ended, fencedForLoss); err == nil {
			t.Error("there is no error")
		}
		expect.Equal(t, "fenced for a loss", own.fencedFor(fencedForLoss), true)
		expect.OK(t, own.fence(t.Context(), fencedForLoss))
		if _, err := own.unfence(ended, fencedForLoss); err == nil {
			t.Error("there is no error")
		}
		expect.Equal(t, "fenced for a loss", own.fencedFor(fencedForLoss), true)
	})
}
