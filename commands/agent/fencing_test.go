package agent

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"resec/commands/cluster"
	"resec/commands/cluster/clustertest"
	"resec/commands/hooks"
	"resec/commands/member"
	"resec/scripts/lab"
)

func TestStallWatch_Next(t *testing.T) {
	guarded := func(k *cluster.Snapshot) { k.View.State.Master.Guard = 1 }
	at := time.Now()
	for _, tt := range []struct {
		name string
		s    stallWatch
		k    member.Snapshot
		want stallMove
	}{
		{"no stall", stallWatch{}, leading(guarded), stallOver},
		{"a stall", stallWatch{stalled: at}, leading(guarded), fenceStall},
		{"another one", stallWatch{stalled: at, fenced: at}, leading(guarded), fenceStall},
		{"a fence is set", stallWatch{fenced: at}, leading(guarded), unfenceStall},
		{"in a pause", stallWatch{stalled: at, fenced: at}, leading(guarded, func(k *cluster.Snapshot) { k.Paused = true }), stallOver},
		{"without a guard", stallWatch{stalled: at}, leading(), forgetStall},
		{"of a replica", stallWatch{stalled: at}, situation(guarded), forgetStall},
		{"without a master", stallWatch{stalled: at}, situation(clustertest.NoState), forgetStall},
	} {
		equal(t, tt.name, tt.s.next(tt.k), tt.want)
	}
}

// withRedis is the agent of "me" with a real Redis, which it knows.
func withRedis(t *testing.T) (*Agent, *lab.Redis) {
	t.Helper()
	a := bareAgent()
	var r *lab.Redis
	a.local, r = localServer(t)
	a.Creds, a.hooks = a.local.creds, hooks.New(nil, a.Metrics.HookFailed, a.Log)
	return a, r
}

// leads makes the agent know that its Redis is the published master with a guard.
func (a *Agent) leads(t *testing.T, guard int) member.Snapshot {
	t.Helper()
	k := leading(func(k *cluster.Snapshot) {
		k.Health.Status = a.local.now(t)
		k.View.State.Master.RunID, k.View.State.Master.Guard, k.View.State.Master.MaxLag = k.Health.Status.RunID, guard, 4
	})
	a.known.Update(func(is *member.Snapshot) { *is = k })
	return k
}

func TestCheckStall(t *testing.T) {
	t.Parallel()
	a, r := withRedis(t)
	k := a.leads(t, 1)
	limit := a.stallLimit()
	s := a.checkStall(t.Context(), stallWatch{}, limit-1)
	equal(t, "below the limit", s, stallWatch{})
	ended, end := context.WithCancel(t.Context())
	end()
	s = a.checkStall(ended, s, limit)
	equal(t, "the fence is still due", s.stalled.IsZero(), false)
	equal(t, "fenced", a.local.now(t).Fenced(), false)
	s = a.checkStall(t.Context(), s, 0)
	equal(t, "the fence is set", a.local.now(t).Fenced(), true)
	equal(t, "the fence is not due", s.stalled.IsZero(), true)
	equal(t, "it is known", s.fenced.IsZero(), false)
	s = a.checkStall(t.Context(), s, 0) // no replica has acknowledged
	equal(t, "still fenced", a.local.now(t).Fenced(), true)
	equal(t, "still known", s.fenced.IsZero(), false)

	a.known.Update(func(is *member.Snapshot) { is.Paused = true })
	equal(t, "in a pause", a.checkStall(t.Context(), stallWatch{fenced: s.fenced}, limit), s)
	a.known.Update(func(is *member.Snapshot) { is.Paused = false })
	_, err := r.Do("CONFIG", "SET", "min-replicas-to-write", "1") // the guard's keeper has ended it
	ok(t, err)
	equal(t, "it was lifted", a.checkStall(t.Context(), s, 0), stallWatch{})
	equal(t, "for a stall", a.local.fencedFor(fencedForStall), false)

	a.known.Update(func(is *member.Snapshot) { *is = k; is.View.State = cluster.State{} })
	ok(t, a.local.fence(t.Context(), fencedForStall))
	equal(t, "without a master", a.checkStall(t.Context(), s, limit), stallWatch{})
	equal(t, "for a stall", a.local.fencedFor(fencedForStall), false)
}

// The watch of stalls runs until its context ends.
func TestWatchStalls(t *testing.T) {
	t.Parallel()
	a, _ := withRedis(t)
	ok(t, a.local.fence(t.Context(), fencedForStall))
	ctx, cancel := context.WithCancel(t.Context())
	var done sync.WaitGroup
	done.Go(func() { a.watchStalls(ctx) })
	lab.Eventually(t, patience, func() error {
		if a.local.fencedFor(fencedForStall) {
			return errors.New("no check was made")
		}
		return nil
	})
	cancel()
	done.Wait()
}

// A stall's fence is lifted once as many replicas as the guard has count have acknowledged since.
func TestUnfenceAfterStall(t *testing.T) {
	t.Parallel()
	a, own := withRedis(t)
	host := lab.Host()
	r, err := lab.ForTest(t).StartRedisAt("replica", host+":6379", "--replica-announce-ip", host, "--replicaof", own.Host+" 6379")
	ok(t, err)
	lab.Eventually(t, patience, func() error { return r.Follows(own) })
	k := a.leads(t, 1)
	k.View.State.Members["b"] = cluster.MemberRecord{RunID: "run-b", Address: r.Addr}
	ok(t, a.local.fence(t.Context(), fencedForStall))
	equal(t, "just now", a.unfenceAfterStall(t.Context(), k, time.Now()), false)
	equal(t, "fenced", a.local.now(t).Fenced(), true)
	ended, end := context.WithCancel(t.Context())
	end()
	equal(t, "redis does not answer", a.unfenceAfterStall(ended, k, time.Now().Add(-time.Minute)), false)
	lab.Eventually(t, patience, func() error { // once the replica is online
		if !a.unfenceAfterStall(t.Context(), k, time.Now().Add(-time.Minute)) {
			return errors.New("it is still fenced")
		}
		return nil
	})
	equal(t, "fenced", a.local.now(t).Fenced(), false)
}

func TestFenceMaster(t *testing.T) {
	t.Parallel()
	a, r := withRedis(t)
	ended, end := context.WithCancel(t.Context())
	end()
	equal(t, "it does not answer", a.fenceMaster(ended), false)
	equal(t, "a master", a.fenceMaster(t.Context()), true)
	equal(t, "fenced", a.local.now(t).Fenced(), true)
	equal(t, "for its lease", a.local.fencedFor(fencedForLease), true)
	a.local.forgetFence(fencedForLease)
	equal(t, "a fenced one", a.fenceMaster(t.Context()), true)
	equal(t, "for its lease", a.local.fencedFor(fencedForLease), false)
	_, err := r.Do("CONFIG", "SET", "min-replicas-to-write", "0")
	ok(t, err)
	ok(t, a.local.park(t.Context()))
	equal(t, "a replica", a.fenceMaster(t.Context()), true)
	equal(t, "fenced", a.local.now(t).Fenced(), false)
}

// With a guard, no lease is watched; and none is that never began.
func TestFenceAtLeaseEnd(t *testing.T) {
	t.Parallel()
	a, _ := withRedis(t)
	a.fenceAtLeaseEnd(t.Context()) // returns at once
	a.Guard.Replicas = cluster.GuardOff
	k := a.leads(t, cluster.GuardOff)
	ctx, cancel := context.WithCancel(t.Context())
	var done sync.WaitGroup
	done.Go(func() { a.fenceAtLeaseEnd(ctx) })
	a.known.Update(func(is *member.Snapshot) { *is = leased(k, 50*time.Millisecond); is.Paused = true })
	a.known.Update(func(is *member.Snapshot) { *is = leased(k, 50*time.Millisecond) })
	lab.Eventually(t, patience, func() error {
		if !a.local.now(t).Fenced() {
			return errors.New("it is not fenced")
		}
		return nil
	})
	cancel()
	done.Wait()
}
