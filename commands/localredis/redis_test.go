package localredis

import (
	"context"
	"errors"
	"testing"
	"time"

	"resec/commands/cluster"
	"resec/commands/takeover"
	"resec/handlers"
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
		own.EndLeading()
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
		ok(t, own.forgetFence(t.Context(), fencedForStall))
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
		clear := func(runID string) { ok(t, own.ClearStallFence(t.Context(), runID, guard)) }
		run := status(t, own).RunID
		clear(run)
		equal(t, "fenced for a loss", status(t, own).Fenced(), true)
		ok(t, own.fence(t.Context(), fencedForStall))
		clear("run-old")
		equal(t, "another instance", status(t, own).Fenced(), true)
		ok(t, own.Park(t.Context()))
		clear(run)
		equal(t, "a replica", status(t, own).Fenced(), true)
		_, err := r.Do("REPLICAOF", "NO", "ONE")
		ok(t, err)
		set(t, "min-replicas-to-write", "3")
		clear(run)
		equal(t, "an unfenced one", status(t, own).MinReplicas, 3)
		ok(t, own.fence(t.Context(), fencedForStall))
		clear(run)
		equal(t, "guard", status(t, own).MinReplicas, 1)
		equal(t, "fenced for a stall", own.fencedFor(fencedForStall), false)
	})
	t.Run("a change waits for the one that is under way, until its context ends", func(t *testing.T) {
		reset(t)
		end, err := own.begin(t.Context())
		ok(t, err)
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
		equal(t, "parked", status(t, own).Parked(), false)
		ok(t, own.Park(t.Context()))
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
	t.Run("a takeover's guard ends every fence", func(t *testing.T) {
		reset(t)
		ok(t, own.fence(t.Context(), fencedForStall))
		ok(t, own.ForTakeover().SetGuard(t.Context(), 1, 4))
		equal(t, "guard", status(t, own).MinReplicas, 1)
		equal(t, "fenced for a stall", own.fencedFor(fencedForStall), false)
		_, err := own.ForTakeover().Promote(t.Context())
		ok(t, err)
		ok(t, own.ForTakeover().Park(t.Context()))
		equal(t, "parked", status(t, own).Parked(), true)
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
