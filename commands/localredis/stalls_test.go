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
	"resec/commands/expect"
	"resec/commands/known"
	"resec/scripts/lab"
)

func TestStallWatch_Next(t *testing.T) {
	guarded := func(k *cluster.Snapshot) { k.View.State.Master.Guard = 1 }
	at := time.Now()
	for _, tt := range []struct {
		name string
		s    stallWatch
		k    known.Snapshot
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
		expect.Equal(t, tt.name, tt.s.next(tt.k), tt.want)
	}
}

// checked is checkStall without an error.
func (f *Fencer) checked(t *testing.T, s stallWatch, stall time.Duration) stallWatch {
	t.Helper()
	s, err := f.checkStall(t.Context(), s, stall)
	expect.OK(t, err)
	return s
}

func TestCheckStall(t *testing.T) {
	t.Parallel()
	f, r := testFencer(t)
	k := f.leads(t, 1)
	limit := f.StallLimit
	var fenced []string
	f.Fenced = func(term uint64, reason string) { fenced = append(fenced, fmt.Sprint(term, " ", reason)) }
	s := f.checked(t, stallWatch{}, limit-1)
	expect.Equal(t, "below the limit", s, stallWatch{})
	ended, end := context.WithCancel(t.Context())
	end()
	s, err := f.checkStall(ended, s, limit)
	if err == nil {
		t.Error("the fence failed without an error")
	}
	expect.Equal(t, "the fence is still due", s.stalled.IsZero(), false)
	expect.Equal(t, "fenced", status(t, f.Redis).Fenced(), false)
	s = f.checked(t, s, 0)
	expect.Equal(t, "the fence is set", status(t, f.Redis).Fenced(), true)
	expect.Equal(t, "hooks are notified", strings.Join(fenced, ", "), "5 this process stalled")
	expect.Equal(t, "the fence is not due", s.stalled.IsZero(), true)
	expect.Equal(t, "it is known", s.fenced.IsZero(), false)
	s = f.checked(t, s, 0) // no replica has acknowledged
	expect.Equal(t, "still fenced", status(t, f.Redis).Fenced(), true)
	expect.Equal(t, "still known", s.fenced.IsZero(), false)

	f.Known.Update(func(is *known.Snapshot) { is.Paused = true })
	expect.Equal(t, "in a pause", f.checked(t, stallWatch{fenced: s.fenced}, limit), s)
	f.Known.Update(func(is *known.Snapshot) { is.Paused = false })
	_, err = r.Do("CONFIG", "SET", "min-replicas-to-write", "1") // the guard's keeper has ended it
	expect.OK(t, err)
	expect.Equal(t, "it was lifted", f.checked(t, s, 0), stallWatch{})
	expect.Equal(t, "for a stall", f.Redis.fencedFor(fencedForStall), false)

	f.Known.Update(func(is *known.Snapshot) { *is = k; is.View.State = cluster.State{} })
	expect.OK(t, f.Redis.fence(t.Context(), fencedForStall))
	expect.Equal(t, "without a master", f.checked(t, s, limit), stallWatch{})
	expect.Equal(t, "for a stall", f.Redis.fencedFor(fencedForStall), false)
}

// The watch of stalls runs until its context ends.
func TestRunStalls(t *testing.T) {
	t.Parallel()
	f, _ := testFencer(t)
	expect.OK(t, f.Redis.fence(t.Context(), fencedForStall))
	ctx, cancel := context.WithCancel(t.Context())
	var done sync.WaitGroup
	done.Go(func() { f.RunStalls(ctx) })
	lab.Eventually(t, expect.Patience, func() error {
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
	expect.OK(t, err)
	lab.Eventually(t, expect.Patience, func() error { return r.Follows(own) })
	k := f.leads(t, 1)
	k.View.State.Members["b"] = cluster.MemberRecord{RunID: "run-b", Address: r.Addr}
	expect.OK(t, f.Redis.fence(t.Context(), fencedForStall))
	unfenced, err := f.unfenceAfterStall(t.Context(), k, time.Now())
	expect.OK(t, err)
	expect.Equal(t, "just now", unfenced, false)
	expect.Equal(t, "fenced", status(t, f.Redis).Fenced(), true)
	ended, end := context.WithCancel(t.Context())
	end()
	if unfenced, err := f.unfenceAfterStall(ended, k, time.Now().Add(-time.Minute)); unfenced || err == nil {
		t.Errorf("redis does not answer: %t, %v", unfenced, err)
	}
	lab.Eventually(t, expect.Patience, func() error { // once the replica is online
		unfenced, err := f.unfenceAfterStall(t.Context(), k, time.Now().Add(-time.Minute))
		if err == nil && !unfenced {
			err = errors.New("it is still fenced")
		}
		return err
	})
	expect.Equal(t, "fenced", status(t, f.Redis).Fenced(), false)
}
