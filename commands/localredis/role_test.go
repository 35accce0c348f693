package localredis

import (
	"context"
	"errors"
	"testing"
	"time"

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
		ok(t, err)
		ok(t, own.fence(t.Context(), fencedForStall))
		ok(t, own.fence(t.Context(), fencedForLoss))
		refused := handlers.Target{Addr: other.Addr, RunID: "run-old"}
		if _, err := own.Follow(t.Context(), refused); !errors.Is(err, handlers.ErrRefused) {
			t.Errorf("got %v", err)
		}
		equal(t, "refused: fenced for a stall", own.fencedFor(fencedForStall), true)
		equal(t, "refused: fenced", status(t, own).Fenced(), true)
		runID, err := other.Info("run_id")
		ok(t, err)
		_, err = own.Follow(t.Context(), handlers.Target{Addr: other.Addr, RunID: runID})
		ok(t, err)
		equal(t, "fenced for a stall", own.fencedFor(fencedForStall), false)
		equal(t, "fenced for a loss", own.fencedFor(fencedForLoss), false)
		equal(t, "fenced", status(t, own).Fenced(), false)
		equal(t, "follows", status(t, own).MasterAddr, other.Addr)
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
	t.Run("a confirmation that is too old makes nothing a replica", func(t *testing.T) {
		reset(t)
		other, err := lab.ForTest(t).StartRedis("other")
		ok(t, err)
		run, err := other.Info("run_id")
		ok(t, err)
		end, err := own.begin(t.Context())
		ok(t, err)
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
		lab.Eventually(t, patience, func() error {
			if time.Since(asked) <= takeover.FollowConfirmTimeout {
				return errors.New("the confirmation is not too old yet")
			}
			return nil
		})
		end()
		if err := <-followed; !errors.Is(err, ErrConfirmedTooLongAgo) {
			t.Errorf("got %v", err)
		}
		equal(t, "a master", status(t, own).Master, true)
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
		own.BeginLeading(t.Context())
		parks(false, master)
		own.EndLeading()
		parks(true, master)
	})
	t.Run("it refuses writes as a replica", func(t *testing.T) {
		reset(t)
		set(t, "replica-read-only", "no")
		ok(t, own.SetReadOnly(t.Context()))
		equal(t, "writable", status(t, own).ReplicaWritable, false)
		equal(t, "probed", own.probed(), true)
	})
}
