package localredis

import (
	"context"
	"errors"
	"testing"

	"resec/commands/expect"
)

func TestRedis(t *testing.T) {
	t.Parallel()
	own, _, _, reset := resettable(t)
	t.Run("a change waits for the one that is under way, until its context ends", func(t *testing.T) {
		reset(t)
		end, err := own.begin(t.Context())
		expect.OK(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		waiting := make(chan error, 1)
		go func() { waiting <- own.Park(ctx) }()
		select {
		case err := <-waiting:
			t.Errorf("it did not wait: %v", err)
		default:
		}
		cancel()
		if err := <-waiting; !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		end()
		expect.Equal(t, "parked", status(t, own).Parked(), false)
		expect.OK(t, own.Park(t.Context()))
	})
	t.Run("a takeover's guard ends every fence", func(t *testing.T) {
		reset(t)
		expect.OK(t, own.fence(t.Context(), fencedForStall))
		expect.OK(t, own.ForTakeover().SetGuard(t.Context(), 1, 4))
		expect.Equal(t, "guard", status(t, own).MinReplicas, 1)
		expect.Equal(t, "fenced for a stall", own.fencedFor(fencedForStall), false)
		_, err := own.ForTakeover().Promote(t.Context())
		expect.OK(t, err)
		expect.OK(t, own.ForTakeover().Park(t.Context()))
		expect.Equal(t, "parked", status(t, own).Parked(), true)
	})
}
