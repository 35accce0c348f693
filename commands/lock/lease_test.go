package lock

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestLease(t *testing.T) {
	start := time.Now()
	type renewal struct {
		clock string
		sent  time.Duration // after start
		ttl   time.Duration
	}
	for _, tt := range []struct {
		name     string
		renewals []renewal
		at       time.Duration // after start
		want     time.Duration
	}{
		{"one that never began is over", nil, 0, 0},
		{"it lasts for a TTL from when the renewal was sent", []renewal{{"session", time.Second, 15 * time.Second}}, 4 * time.Second, 12 * time.Second},
		{"it is over at its end", []renewal{{"session", 0, 15 * time.Second}}, 15 * time.Second, 0},
		{"it is never less than over", []renewal{{"session", 0, 15 * time.Second}}, time.Hour, 0},
		{"a renewal begins it anew", []renewal{{"session", 0, 15 * time.Second}, {"session", 14 * time.Second, 15 * time.Second}}, 20 * time.Second, 9 * time.Second},
		{"the sooner of two clocks ends it", []renewal{{"session", 0, 15 * time.Second}, {"check", 0, 10 * time.Second}}, 4 * time.Second, 6 * time.Second},
		{"the sooner of two clocks ends it, whichever came last", []renewal{{"check", 0, 10 * time.Second}, {"session", 0, 15 * time.Second}}, 4 * time.Second, 6 * time.Second},
		{"one clock that is over ends it, whatever the other says", []renewal{{"check", 0, 10 * time.Second}, {"session", 9 * time.Second, 15 * time.Second}}, 10 * time.Second, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var l Lease
			for _, r := range tt.renewals {
				l.Extend(r.clock, start.Add(r.sent), r.ttl)
			}
			if got := l.Left(start.Add(tt.at)); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func TestLease_RunsOutByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l Lease
		l.Extend("session", time.Now(), 15*time.Second)
		for _, want := range []time.Duration{10 * time.Second, 5 * time.Second, 0, 0} {
			<-time.After(5 * time.Second)
			if got := l.Left(time.Now()); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		}
	})
}
