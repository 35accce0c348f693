package localredis

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"resec/commands/cluster"
	"resec/commands/cluster/clustertest"
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

func TestCheckStall(t *testing.T) {
	t.Parallel()
	f, r := testFencer(t)
	k := f.leads(t, 1)
	limit := f.StallLimit
	var fenced []string
	f.Fenced = func(term uint64, reason string) { fenced = append(fenced, fmt.Sprint(term, " ", reason)) }
	s := f.checkStall(t.Context(), stallWatch{}, limit-1)
	equal(t, "below the limit", s, stallWatch{})
	ended, end := context.WithCancel(t.Context())
	end()
	s = f.checkStall(ended, s, limit)
	equal(t, "the fence is still due", s.stalled.IsZero(), false)
	equal(t, "fenced", status(t, f.Redis).Fenced(), false)
	s = f.checkStall(t.Context(), s, 0)
	equal(t, "the fence is set", status(t, f.Redis).Fenced(), true)
	equal(t, "hooks are notified", strings.Join(fenced, ", "), "5 this process stalled")
	equal(t, "the fence is not due", s.stalled.IsZero(), true)
	equal(t, "it is known", s.fenced.IsZero(), false)
	s = f.checkStall(t.Context(), s, 0) // no replica has acknowledged
	equal(t, "still fenced", status(t, f.Redis).Fenced(), true)
	equal(t, "still known", s.fenced.IsZero(), false)

	f.Known.Update(func(is *member.Snapshot) { is.Paused = true })
	equal(t, "in a pause", f.checkStall(t.Context(), stallWatch{fenced: s.fenced}, limit), s)
	f.Known.Update(func(is *member.Snapshot) { is.Paused = false })
	_, err := r.Do("CONFIG", "SET", "min-replicas-to-write", "1") // the guard's keeper has ended it
	ok(t, err)
	equal(t, "it was lifted", f.checkStall(t.Context(), s, 0), stallWatch{})
	equal(t, "for a stall", f.Redis.fencedFor(fencedForStall), false)

	f.Known.Update(func(is *member.Snapshot) { *is = k; is.View.State = cluster.State{} })
	ok(t, f.Redis.fence(t.Context(), fencedForStall))
	equal(t, "without a master", f.checkStall(t.Context(), s, limit), stallWatch{})
	equal(t, "for a stall", f.Redis.fencedFor(fencedForStall), false)
}

// The watch of stalls runs until its context ends.
func TestRunStalls(t *testing.T) {
	t.Parallel()
	f, _ := testFencer(t)
	ok(t, f.Redis.fence(t.Context(), fencedForStall))
	ctx, cancel := context.WithCancel(t.Context())
	var done sync.WaitGroup
	done.Go(func() { f.RunStalls(ctx) })
	lab.Eventually(t, patience, func() error {
		if f.Redis.fencedFor(fencedForStall) {
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
	f, own := testFencer(t)
	host := lab.Host()
	r, err := lab.ForTest(t).StartRedisAt("replica", host+":6379", "--replica-announce-ip", host, "--replicaof", own.Host+" 6379")
	ok(t, err)
	lab.Eventually(t, patience, func() error { return r.Follows(own) })
	k := f.leads(t, 1)
	k.View.State.Members["b"] = cluster.MemberRecord{RunID: "run-b", Address: r.Addr}
	ok(t, f.Redis.fence(t.Context(), fencedForStall))
	equal(t, "just now", f.unfenceAfterStall(t.Context(), k, time.Now()), false)
	equal(t, "fenced", status(t, f.Redis).Fenced(), true)
	ended, end := context.WithCancel(t.Context())
	end()
	equal(t, "redis does not answer", f.unfenceAfterStall(ended, k, time.Now().Add(-time.Minute)), false)
	lab.Eventually(t, patience, func() error { // once the replica is online
		if !f.unfenceAfterStall(t.Context(), k, time.Now().Add(-time.Minute)) {
			return errors.New("it is still fenced")
		}
		return nil
	})
	equal(t, "fenced", status(t, f.Redis).Fenced(), false)
}

func TestFenceMaster(t *testing.T) {
	t.Parallel()
	f, r := testFencer(t)
	ended, end := context.WithCancel(t.Context())
	end()
	equal(t, "it does not answer", f.fenceMaster(ended), false)
	equal(t, "a master", f.fenceMaster(t.Context()), true)
	equal(t, "fenced", status(t, f.Redis).Fenced(), true)
	equal(t, "for its lease", f.Redis.fencedFor(fencedForLease), true)
	f.Redis.forgetFence(fencedForLease)
	equal(t, "a fenced one", f.fenceMaster(t.Context()), true)
	equal(t, "for its lease", f.Redis.fencedFor(fencedForLease), false)
	_, err := r.Do("CONFIG", "SET", "min-replicas-to-write", "0")
	ok(t, err)
	ok(t, f.Redis.Park(t.Context()))
	equal(t, "a replica", f.fenceMaster(t.Context()), true)
	equal(t, "fenced", status(t, f.Redis).Fenced(), false)
}

// With a guard, no lease is watched; and none is that never began.
func TestRunLease(t *testing.T) {
	t.Parallel()
	f, _ := testFencer(t)
	f.RunLease(t.Context()) // returns at once
	f.Guard.Replicas = cluster.GuardOff
	k := f.leads(t, cluster.GuardOff)
	ctx, cancel := context.WithCancel(t.Context())
	var done sync.WaitGroup
	done.Go(func() { f.RunLease(ctx) })
	f.Known.Update(func(is *member.Snapshot) { *is = leased(k, 50*time.Millisecond); is.Paused = true })
	f.Known.Update(func(is *member.Snapshot) { *is = leased(k, 50*time.Millisecond) })
	lab.Eventually(t, patience, func() error {
		if !status(t, f.Redis).Fenced() {
			return errors.New("it is not fenced")
		}
		return nil
	})
	cancel()
	done.Wait()
}
