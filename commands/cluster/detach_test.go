package cluster

import (
	"errors"
	"fmt"
	"syscall"
	"testing"
	"time"

	"resec/handlers/redis"
)

func TestDetachTracker(t *testing.T) {
	refused, timeout := fmt.Errorf("dial: %w", syscall.ECONNREFUSED), errors.New("i/o timeout")
	type observation struct {
		after time.Duration // after the previous one
		st    redis.Status
		err   error
	}
	parked := func(run string, down int) redis.Status {
		return redis.Status{RunID: run, MasterAddr: redis.Sink, LinkDownFor: down}
	}
	ms := time.Millisecond
	for _, tt := range []struct {
		name         string
		observations []observation
		want         time.Duration // for how long it is known to be detached; -1: it may be attached
	}{
		{"no observation", nil, -1},
		{"detached since the first observation", []observation{{0, parked("a", 3), nil}}, 0},
		{"observed often enough", []observation{{0, parked("a", 0), nil}, {900 * ms, parked("a", 0), nil}, {900 * ms,
			parked("a", 1), nil}}, 1800 * ms},
		{"it never had a link", []observation{{0, parked("a", 0), nil}, {900 * ms, parked("a", 0), nil}}, 900 * ms},
		{"it had a link in between", []observation{{0, parked("a", 5), nil}, {900 * ms, parked("a", 0), nil}, {100 * ms,
			parked("a", 0), nil}}, 100 * ms},
		{"observed just in time", []observation{{0, parked("a", 5), nil}, {MaxObservationGap, parked("a", 6), nil}}, MaxObservationGap},
		{"observed too late", []observation{{0, parked("a", 5), nil}, {1600 * ms, parked("a", 6), nil}}, 0},
		{"restarted", []observation{{0, parked("a", 0), nil}, {100 * ms, parked("b", 0), nil}}, 0},
		{"it follows a master", []observation{{0, parked("a", 1), nil}, {100 * ms, redis.Status{RunID: "a",
			MasterAddr: "10.0.0.1:6379"}, nil}}, -1},
		{"it followed a master before", []observation{{0, redis.Status{RunID: "a", MasterAddr: "10.0.0.1:6379"}, nil},
			{100 * ms, parked("a", 0), nil}, {50 * ms, parked("a", 0), nil}}, 50 * ms},
		{"an unreachable member may follow a master", []observation{{0, parked("a", 1), nil}, {100 * ms, redis.Status{},
			timeout}}, -1},
		{"a member that is down follows no master", []observation{{0, redis.Status{}, refused}, {500 * ms, redis.Status{},
			refused}}, 500 * ms},
		{"another redis answers at its address", []observation{{0, redis.Status{RunID: "z"}, ErrOtherInstance}, {500 * ms,
			redis.Status{RunID: "z"}, ErrOtherInstance}}, 500 * ms},
		{"it was down and came back parked", []observation{{0, redis.Status{}, refused}, {500 * ms, parked("b", 0), nil}}, 0},
		{"a master replicates from no master", []observation{{0, redis.Status{RunID: "a", Master: true}, nil}, {500 * ms,
			redis.Status{RunID: "a", Master: true}, nil}}, 500 * ms},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d, now := NewDetachTracker(), time.Now()
			for _, o := range tt.observations {
				now = now.Add(o.after)
				d.Observe("m", o.st, o.err, now)
			}
			if got := d.CountDetached(now, max(0, tt.want), "m", "another") == 1; got != (tt.want >= 0) {
				t.Errorf("detached: %t", got)
			}
			if d.CountDetached(now, tt.want+1, "m") != 0 && tt.want >= 0 {
				t.Error("it counts for longer than observed")
			}
			if d.CountDetached(now.Add(MaxObservationGap+1), 0, "m") != 0 {
				t.Error("it counts although its last observation is too old")
			}
		})
	}
}
