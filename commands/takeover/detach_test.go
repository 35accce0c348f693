package takeover

import (
	"errors"
	"fmt"
	"syscall"
	"testing"
	"time"

	"resec/handlers/redis"
)

func TestVigil(t *testing.T) {
	refused, silent := fmt.Errorf("dial: %w", syscall.ECONNREFUSED), errors.New("i/o timeout")
	type look struct {
		after time.Duration // the look before
		st    redis.Status
		err   error
	}
	parked := func(run string, down int) redis.Status {
		return redis.Status{RunID: run, MasterAddr: redis.Sink, LinkDownFor: down}
	}
	ms := time.Millisecond
	for _, tt := range []struct {
		name  string
		looks []look
		want  time.Duration // for how long it is known; -1: it is not
	}{
		{"nobody was looked at", nil, -1},
		{"from the first look on", []look{{0, parked("a", 3), nil}}, 0},
		{"as long as it is looked at", []look{{0, parked("a", 0), nil}, {900 * ms, parked("a", 0), nil}, {900 * ms, parked("a", 1), nil}}, 1800 * ms},
		{"one that never had a link", []look{{0, parked("a", 0), nil}, {900 * ms, parked("a", 0), nil}}, 900 * ms},
		{"one that had a link meanwhile", []look{{0, parked("a", 5), nil}, {900 * ms, parked("a", 0), nil}, {100 * ms, parked("a", 0), nil}}, 100 * ms},
		{"one that was not looked at for too long", []look{{0, parked("a", 5), nil}, {1600 * ms, parked("a", 6), nil}}, 0},
		{"one that was restarted", []look{{0, parked("a", 0), nil}, {100 * ms, parked("b", 0), nil}}, 0},
		{"one that follows", []look{{0, parked("a", 1), nil}, {100 * ms, redis.Status{RunID: "a", MasterAddr: "10.0.0.1:6379"}, nil}}, -1},
		{"one that follows no more", []look{{0, redis.Status{RunID: "a", MasterAddr: "10.0.0.1:6379"}, nil}, {100 * ms, parked("a", 0), nil}, {50 * ms, parked("a", 0), nil}}, 50 * ms},
		{"a silent one may follow", []look{{0, parked("a", 1), nil}, {100 * ms, redis.Status{}, silent}}, -1},
		{"one that is gone does not", []look{{0, redis.Status{}, refused}, {500 * ms, redis.Status{}, refused}}, 500 * ms},
		{"nor one whose address is another's", []look{{0, redis.Status{RunID: "z"}, ErrOtherInstance}, {500 * ms, redis.Status{RunID: "z"}, ErrOtherInstance}}, 500 * ms},
		{"one that came back parked", []look{{0, redis.Status{}, refused}, {500 * ms, parked("b", 0), nil}}, 0},
		{"a master follows nobody", []look{{0, redis.Status{RunID: "a", Master: true}, nil}, {500 * ms, redis.Status{RunID: "a", Master: true}, nil}}, 500 * ms},
	} {
		t.Run(tt.name, func(t *testing.T) {
			v, now := NewDetachTracker(), time.Now()
			for _, l := range tt.looks {
				now = now.Add(l.after)
				v.Observe("m", l.st, l.err, now)
			}
			if got := v.CountDetached(now, max(0, tt.want), "m", "another") == 1; got != (tt.want >= 0) {
				t.Errorf("known: %t", got)
			}
			if v.CountDetached(now, tt.want+1, "m") != 0 && tt.want >= 0 {
				t.Error("it is known for longer")
			}
			if v.CountDetached(now.Add(maxObservationGap+1), 0, "m") != 0 {
				t.Error("it is known still, and was not looked at")
			}
		})
	}
}
