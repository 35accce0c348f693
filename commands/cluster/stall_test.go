package cluster

import (
	"testing"
	"time"

	"resec/handlers/redis"
)

// A master that stalled for less than the limit closes before another one can open.
func TestStallLimit(t *testing.T) {
	const s = time.Second
	for _, tt := range []struct{ lag, interval, detection, want time.Duration }{
		{5 * s, 5 * s, 0, 2500 * time.Millisecond},
		{60 * s, 5 * s, 0, 6800 * time.Millisecond},
		{60 * s, s, 0, 800 * time.Millisecond},
		{s, 5 * s, 0, 500 * time.Millisecond},
		{5 * s, 5 * s, 2 * s, 1300 * time.Millisecond},
		{60 * s, 5 * s, 6 * s, 5300 * time.Millisecond},
		{5 * s, 5 * s, s / 2, 800 * time.Millisecond},
		{5 * s, s, s / 2, 800 * time.Millisecond},
		{5 * s, 500 * time.Millisecond, 0, 5 * StallCheckInterval / 2}, // too short for the guarantee
	} {
		got := StallLimit(tt.lag, tt.interval, tt.detection)
		if got != tt.want {
			t.Errorf("lag %s, interval %s: got %s, want %s", tt.lag, tt.interval, got, tt.want)
		}
		closes, opens := tt.lag+2100*time.Millisecond+got+s, tt.interval*3/2+tt.lag+2500*time.Millisecond
		if early := tt.detection + tt.lag + 2500*time.Millisecond + StallAllowance(tt.lag, tt.interval,
			tt.detection); tt.detection > 0 {
			opens = min(opens, early)
		}
		if closes > opens && tt.interval >= s {
			t.Errorf("lag %s, interval %s: the master closes %s after the cut, another opens after %s", tt.lag, tt.interval, closes, opens)
		}
	}
}

func TestDetectionTime(t *testing.T) {
	p := redis.Probe{Timeout: 500 * time.Millisecond, Failures: 2}
	if later, early := DetectionTime(p, false), DetectionTime(p, true); later != 0 || early != time.Second {
		t.Errorf("got %s without early takeover, %s with it", later, early)
	}
}

func TestAckedSince(t *testing.T) {
	now := time.Now()
	st := redis.Status{Replicas: []redis.Replica{{Addr: "a", Lag: 0}, {Addr: "b", Lag: 1}, {Addr: "c", Lag: 2}}}
	for _, tt := range []struct {
		ago  time.Duration
		want int
	}{{0, 0}, {900 * time.Millisecond, 0}, {time.Second, 0}, {1500 * time.Millisecond, 1}, {2500 * time.Millisecond, 2},
		{time.Minute, 3}} {
		if got := AckedSince(st, now.Add(-tt.ago), now); len(got.Replicas) != tt.want {
			t.Errorf("%s after a stall %v have acknowledged, not %d", tt.ago, got.Replicas, tt.want)
		}
	}
}
