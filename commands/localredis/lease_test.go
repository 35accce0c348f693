package localredis

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"resec/commands/cluster"
	"resec/commands/expect"
	"resec/commands/known"
	"resec/commands/known/knowntest"
	"resec/commands/logonce"
	"resec/scripts/lab"
)

func TestFenceMaster(t *testing.T) {
	t.Parallel()
	f, r := testFencer(t)
	ended, end := context.WithCancel(t.Context())
	end()
	expect.Equal(t, "it does not answer", f.fenceMaster(ended, &logonce.Once{}), false)
	expect.Equal(t, "a master", f.fenceMaster(t.Context(), &logonce.Once{}), true)
	expect.Equal(t, "fenced", status(t, f.Redis).Fenced(), true)
	expect.Equal(t, "for its lease", f.Redis.fencedFor(fencedForLease), true)
	expect.OK(t, f.Redis.forgetFence(t.Context(), fencedForLease))
	expect.Equal(t, "a fenced one", f.fenceMaster(t.Context(), &logonce.Once{}), true)
	expect.Equal(t, "for its lease", f.Redis.fencedFor(fencedForLease), false)
	_, err := r.Do("CONFIG", "SET", "min-replicas-to-write", "0")
	expect.OK(t, err)
	expect.OK(t, f.Redis.Park(t.Context()))
	expect.Equal(t, "a replica", f.fenceMaster(t.Context(), &logonce.Once{}), true)
	expect.Equal(t, "fenced", status(t, f.Redis).Fenced(), false)
}

// The end of a lease is due once it is over, unless it never began or the cluster is paused.
func TestLeaseWatch(t *testing.T) {
	now := time.Now()
	mine := knowntest.Leased(leading(), time.Hour)
	for _, tt := range []struct {
		name string
		k    known.Snapshot // seen first
		then known.Snapshot
		at   time.Duration // after the first
		want bool
	}{
		{"it never began", leading(), leading(), 2 * time.Hour, false},
		{"the lock was another member's", knowntest.Leased(situation(), time.Hour), situation(), 2 * time.Hour, false},
		{"it lasts", mine, mine, time.Minute, false},
		{"it is over", mine, mine, 2 * time.Hour, true},
		{"the session is lost, and its lease lasts", mine, situation(), time.Minute, false},
		{"the session is lost, and its lease is over", mine, situation(), 2 * time.Hour, true},
		{"it is over in a pause", mine, situation(func(k *cluster.Snapshot) { k.Paused = true }), 2 * time.Hour, false},
	} {
		w, _ := leaseWatch{}.next(tt.k, now)
		w, left := w.next(tt.then, now.Add(tt.at))
		expect.Equal(t, tt.name, w.due(left, tt.then), tt.want)
	}
}

// With a guard no lease is watched. Without one our Redis is fenced when the lease is over.
func TestRunLease(t *testing.T) {
	t.Parallel()
	f, _ := testFencer(t)
	f.RunLease(t.Context()) // returns at once
	f.Guard.Replicas = cluster.GuardOff
	k := f.leads(t, cluster.GuardOff)
	ctx, cancel := context.WithCancel(t.Context())
	var done sync.WaitGroup
	done.Go(func() { f.RunLease(ctx) })
	f.Known.Update(func(is *known.Snapshot) { *is = knowntest.Leased(k, 50*time.Millisecond) })
	lab.Eventually(t, expect.Patience, func() error {
		if !status(t, f.Redis).Fenced() {
			return errors.New("it is not fenced")
		}
		return nil
	})
	cancel()
	done.Wait()
}
