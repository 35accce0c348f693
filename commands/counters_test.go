package commands_test

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"resec/handlers/redis"
	"resec/scripts/lab"
)

type tally struct{ fences, parks, errors atomic.Int32 }

func (c *tally) Fenced()     { c.fences.Add(1) }
func (c *tally) Parked()     { c.parks.Add(1) }
func (c *tally) RedisError() { c.errors.Add(1) }

// What is done is counted, and what is done already is not done again.
func TestTally_CountsWhatChanges(t *testing.T) {
	t.Parallel()
	r, err := lab.ForTest(t).StartRedis("redis")
	ok(t, err)
	var c tally
	opt := redis.Options{Addr: r.Addr, Name: "resec:test", Timeout: time.Second, Counters: &c}
	s, err := redis.Open(t.Context(), opt)
	ok(t, err)
	defer s.Close()
	counted := func(what string, want ...int32) {
		t.Helper()
		if d := cmp.Diff(want, []int32{c.fences.Load(), c.parks.Load(), c.errors.Load()}); d != "" {
			t.Errorf("%s: %s", what, d)
		}
	}
	for range 2 {
		ok(t, s.Fence(t.Context()))
		counted("fenced", 1, 0, 0)
	}
	for range 2 {
		ok(t, s.Park(t.Context()))
		counted("parked", 1, 1, 0)
	}
	_, err = s.Unfence(t.Context())
	ok(t, err)
	_, err = s.Promote(t.Context())
	ok(t, err)
	counted("promoted, under a fence of its own", 1, 1, 0)
	will := redis.NewEmergencyFence(opt)
	defer will.Close()
	ok(t, will.Connect(t.Context()))
	ok(t, will.Send(t.Context()))
	counted("told to do both when it goes on", 2, 2, 0)
	r.Kill()
	if err := s.Fence(t.Context()); err == nil {
		t.Error("a dead redis was fenced")
	}
	counted("killed", 2, 2, 1)
}
