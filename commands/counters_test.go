package commands_test

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"resec/commands/expect"
	"resec/handlers/redis"
	"resec/scripts/lab"
)

type redisCounts struct{ fences, parks, errors atomic.Int32 }

func (c *redisCounts) Fenced() { c.fences.Add(1) }

func (c *redisCounts) Parked() { c.parks.Add(1) }

func (c *redisCounts) RedisError() { c.errors.Add(1) }

// A command is counted if it changed something.
func TestCounters_CountChanges(t *testing.T) {
	t.Parallel()
	r, err := lab.ForTest(t).StartRedis("redis")
	expect.OK(t, err)
	var c redisCounts
	opt := redis.Options{Addr: r.Addr, Name: "resec:test", Timeout: time.Second, Counters: &c}
	s, err := redis.Open(t.Context(), opt)
	expect.OK(t, err)
	defer s.Close()
	counted := func(what string, want ...int32) {
		t.Helper()
		if d := cmp.Diff(want, []int32{c.fences.Load(), c.parks.Load(), c.errors.Load()}); d != "" {
			t.Errorf("%s: %s", what, d)
		}
	}
	for range 2 {
		expect.OK(t, s.Fence(t.Context()))
		counted("fenced", 1, 0, 0)
	}
	for range 2 {
		expect.OK(t, s.Park(t.Context()))
		counted("parked", 1, 1, 0)
	}
	_, err = s.Unfence(t.Context())
	expect.OK(t, err)
	_, err = s.Promote(t.Context())
	expect.OK(t, err)
	counted("promoted, with a fence that is not counted", 1, 1, 0)
	fence := redis.NewEmergencyFence(opt)
	defer fence.Close()
	expect.OK(t, fence.Connect(t.Context()))
	expect.OK(t, fence.Send(t.Context()))
	counted("emergency fence", 2, 2, 0)
	r.Kill()
	if err := s.Fence(t.Context()); err == nil {
		t.Error("a redis that is down was fenced")
	}
	counted("killed", 2, 2, 1)
}
