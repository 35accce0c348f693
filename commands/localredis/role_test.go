package localredis

import (
	"context"
	"errors"
	"testing"
	"time"

	"resec/commands/expect"
	"resec/commands/takeover"
	"resec/handlers"
	"resec/scripts/lab"
)

func TestRedis_Role(t *testing.T) {
	t.Parallel()
	own, r, set, reset := resettable(t)
	t.Run("following ends every fence", func(t *testing.T) {
		reset(t)
		other, err := lab.ForTest(t).StartRedis("other")
		expect.OK(t, err)
		expect.OK(t, own.fence(t.Context(), fencedForStall))
		expect.OK(t, own.fence(t.Context(), fencedForLoss))
		refused := handlers.Target{Addr: other.Addr, RunID: "run-old"}
		if _, err := own.Follow(t.Context(), refused); !errors.Is(err, handlers.ErrRefused) {
			t.Errorf("got %v", err)
		}
		expect.Equal(t, "refused: fenced for a stall", own.fencedFor(fencedForStall), true)
		expect.Equal(t, "refused: fenced", status(t, own).Fenced(), true)
		runID, err := other.Info("run_id")
		expect.OK(t, err)
		_, err = own.Follow(t.Context(), handlers.Target{Addr: other.Addr, RunID: runID})
		expect.OK(t, err)
		expect.Equal(t, "fenced for a stall", own.fencedFor(fencedForStall), false)
		expect.Equal(t, "fenced for a loss", own.fencedFor(fencedForLoss), false)
		expect.Equal(t, "fenced", status(t, own).Fenced(), false)
		expect.Equal(t, "follows", status(t, own).MasterAddr, other.Addr)
	})
	t.Run("it follows, and is probed if that is new", func(t *testing.T) {
		reset(t)
		other, err := lab.ForTest(t).StartRedis("other")
		expect.OK(t, err)
		runID, err := other.Info("run_id")
		expect.OK(t, err)
		for _, changed := range []bool{true, false} {
			res, err := own.Follow(t.Context(), handlers.Target{Addr: other.Addr, RunID: runID})
			expect.OK(t, err)
			expect.Equal(t, "changed", res.Changed, changed)
			expect.Equal(t, "probed", own.probed(), changed)
		}
		expect.Equal(t, "follows", status(t, own).MasterAddr, other.Addr)
	})
	t.Run("a confirmation that is too old makes nothing a replica", func(t *testing.T) {
		reset(t)
		other, err := lab.ForTest(t).StartRedis("other")
		expect.OK(t, err)
		run, err := other.Info("run_id")
		expect.OK(t, err)
		end, err := own.begin(t.Context())
		expect.OK(t, err)
		var asked time.Time
		confirmed, followed := make(chan struct{}), make(chan error, 1)
		go func() {
			_, err := own.Follow(t.Context(), handlers.Target{Addr: other.Addr, RunID: run, Confirm: func(context.Context) error {
				asked = time.Now()
				close(confirmed)
				return nil
			}})
			followed <- err
		}()
		<-confirmed
		lab.Eventually(t, expect.Patience, func() error {
			if time.Since(asked) <= takeover.FollowConfirmTimeout {
				return errors.New("the confirmation is not too old yet")
			}
			return nil
		})
		end()
		if err := <-followed; !errors.Is(err, ErrConfirmedTooLongAgo) {
			t.Errorf("got %v", err)
		}
		expect.Equal(t, "a master", status(t, own).Master, true)
	})
	t.Run("it is parked only while it follows that master and does not lead", func(t *testing.T) {
		reset(t)
		const master = "127.0.0.1:2"
		parks := func(want bool, addr string) {
			t.Helper()
			own.probed()
			parked, err := own.ParkIfFollowing(t.Context(), addr)
			expect.OK(t, err)
			expect.Equal(t, "parked", parked, want)
			expect.Equal(t, "probed", own.probed(), want)
			expect.Equal(t, "parked", status(t, own).Parked(), want)
		}
		parks(false, "") // it is a master
		_, err := r.Do("REPLICAOF", "127.0.0.1", "2")
		expect.OK(t, err)
		parks(false, "127.0.0.1:3")
		own.BeginLeading(t.Context())
		parks(false, master)
		own.EndLeading()
		parks(true, master)
	})
	t.Run("it refuses writes as a replica", func(t *testing.T) {
		reset(t)
		set(t, "replica-read-only", "no")
		expect.OK(t, own.SetReadOnly(t.Context()))
		expect.Equal(t, "writable", status(t, own).ReplicaWritable, false)
		expect.Equal(t, "probed", own.probed(), true)
	})
}
