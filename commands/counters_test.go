package commands_test

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"resec/handlers/redis"
	"resec/scripts/lab"
)

// counters is a redis.Counters for the test.
type counters struct{ fences, parks, errors atomic.Int32 }

func (c *counters) Fenced()     { c.fences.Add(1) }
func (c *counters) Parked()     { c.parks.Add(1) }
func (c *counters) RedisError() { c.errors.Add(1) }

// Each change of a Redis is counted; a command that changes nothing is not.
func TestCounters_CountChanges(t *testing.T) {
	t.Parallel()
	r, err := lab.ForTest(t).StartRedis("redis")
	ok(t, err)
	var c counters
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
	counted("promoted, with the fence that a promotion sets itself", 1, 1, 0)
	emergency := redis.NewEmergencyFence(opt)
	defer emergency.Close()
	ok(t, emergency.Connect(t.Context()))
	ok(t, emergency.Send(t.Context()))
	counted("sent both over the connection kept for an emergency", 2, 2, 0)
	r.Kill()
	if err := s.Fence(t.Context()); err == nil {
		t.Error("fencing a dead redis has no error")
	}
	counted("killed", 2, 2, 1)
}
