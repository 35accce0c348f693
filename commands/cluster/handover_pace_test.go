package cluster

import (
	"testing"
	"time"

	"resec/commands/expect"
)

// A reason that arises after clients were served for a while does not wait for the end of the pause.
func TestHandoverPace(t *testing.T) {
	start := time.Unix(100, 0)
	later := start.Add(time.Minute)
	p := NewHandoverPace(later)
	p.Observe(true, start)
	expect.Equal(t, "the reason of the last handover", p.Due, later)
	expect.Equal(t, "it is held", p.Held(start), true)
	p.Observe(false, start.Add(time.Second))
	p.Observe(true, start.Add(2*time.Second))
	expect.Equal(t, "it ended for a moment", p.Due, later)
	p.Observe(false, start.Add(3*time.Second))
	now := start.Add(3*time.Second + minHandoverPause)
	p.Observe(true, now)
	expect.Equal(t, "another reason", p.Due, now)
	expect.Equal(t, "it is held", p.Held(now), false)
	p.Tried(now, time.Second)
	p.Tried(now, time.Second)
	expect.Equal(t, "nobody would serve them, twice", p.Due, now.Add(time.Second))
	expect.Equal(t, "that is no pause after a handover", p.Held(now), false)
}

func TestNextHandoverPause(t *testing.T) {
	for _, tt := range []struct{ last, since, want time.Duration }{
		{0, time.Hour, 5 * time.Second}, {5 * time.Second, 6 * time.Second, 10 * time.Second},
		{4 * time.Minute, 4 * time.Minute, 5 * time.Minute}, {5 * time.Minute, 6 * time.Minute, 5 * time.Second},
	} {
		if got := NextHandoverPause(tt.last, tt.since); got != tt.want {
			t.Errorf("after %s and %s: %s, want %s", tt.last, tt.since, got, tt.want)
		}
	}
}

func TestHandoverDue(t *testing.T) {
	now := time.Unix(100, 0)
	later := now.Add(time.Minute)
	for _, tt := range []struct {
		name   string
		served time.Duration
		want   time.Time
	}{
		{"served for a moment only", minHandoverPause - 1, later},
		{"served for long enough", minHandoverPause, now},
	} {
		if got := handoverDue(later, now.Add(-tt.served), now); got != tt.want {
			t.Errorf("%s: due at %s", tt.name, got)
		}
	}
}
