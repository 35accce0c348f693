package takeover

import (
	"errors"
	"testing"
	"time"

	"resec/commands/expect"
	"resec/handlers/redis"
	"resec/scripts/lab"
)

func TestSyncProgress(t *testing.T) {
	const addr = "10.0.0.2:6379"
	want := redis.Position{ReplID: "a", Offset: 100}
	linkDown := redis.Status{MasterAddr: addr}
	full, loading := linkDown, linkDown
	full.Syncing, loading.Loading = true, true
	at := func(id string, offset int64) redis.Status {
		return redis.Status{MasterAddr: addr, LinkUp: true, Position: redis.Position{ReplID: id, Offset: offset}}
	}
	repeat := func(n int, looks ...redis.Status) (all []redis.Status) {
		for range n {
			all = append(all, looks...)
		}
		return all
	}
	const slow = catchUpTimeout - time.Second // between two looks
	for _, tt := range []struct {
		name  string
		every time.Duration
		looks []redis.Status
		want  error
	}{
		{"a slow full sync", slow, repeat(20, full), nil},
		{"a slow full sync that is loaded slowly", slow, append(repeat(20, full), repeat(20, loading)...), nil},
		{"a full sync that is under way after two failed", time.Second, append(repeat(2, full, linkDown), full, full), nil},
		{"full syncs that fail again and again", time.Millisecond, repeat(3, full, linkDown), errSyncFails},
		{"full syncs that fail while they are loaded", time.Second, repeat(3, full, loading, linkDown), errSyncFails},
		{"full syncs of which only the loads are seen apart", time.Second,
			append(repeat(3, full, loading), full), errSyncFails},
		{"a full sync that succeeds", slow, append(repeat(2, full, linkDown), full, loading, at("a", 100)), nil},
		{"no link", slow, repeat(2, linkDown), errSyncStopped},
		{"a slow partial sync", slow, []redis.Status{at("a", 10), at("a", 20), at("a", 30), at("a", 90)}, nil},
		{"a partial sync that stops", slow, []redis.Status{at("a", 10), at("a", 10), at("a", 10)}, errSyncStopped},
		{"the stream of another history grows", slow, []redis.Status{at("b", 10), at("b", 20)}, errSyncStopped},
	} {
		now := time.Now()
		s, err := syncProgress{at: now}, error(nil)
		for _, own := range tt.looks {
			now = now.Add(tt.every)
			s = s.observe(own, want, now)
			err = s.ended(now)
		}
		if !errors.Is(err, tt.want) || tt.want == nil && err != nil {
			t.Errorf("%s: got %v, want %v", tt.name, err, tt.want)
		}
	}
}

// Redis repeats for ever a full sync that it cannot read. The lock is not kept for that.
func TestSyncFrom_Unreadable(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	b := s.other["b"]
	b.set(func(f *fake) {
		f.st, f.rdb = redis.Status{RunID: "run-b", Master: true, Position: history, Keys: 1}, "REDIS9999"
	})
	r, err := lab.ForTest(t).StartRedis("me")
	expect.OK(t, err)
	p := s.newRun()
	own, err := redis.Open(t.Context(), s.Self.Creds.At(r.Addr))
	expect.OK(t, err)
	t.Cleanup(own.Close)
	p.Self.Redis = own
	expect.OK(t, p.openPeer(t.Context(), p.parked[0]))
	began := time.Now()
	_, err = p.syncFrom(t.Context(), p.parked[0], b.status())
	n := 0
	for _, line := range s.log.list() {
		if line == "b: full sync" {
			n++
		}
	}
	if !errors.Is(err, errSyncFails) || n < maxFailedSyncs || time.Since(began) > catchUpTimeout {
		t.Errorf("after %s and %d full syncs: %v", time.Since(began), n, err)
	}
}
