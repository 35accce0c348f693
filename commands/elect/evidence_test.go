package elect

import (
	"errors"
	"fmt"
	"syscall"
	"testing"
	"time"
)

// Who is known not to follow a silent master, and for how long: each counts by its own time.
func TestPassage_Known(t *testing.T) {
	now := time.Now()
	ago := func(s int) time.Time { return now.Add(-time.Duration(s) * time.Second) }
	p := &passage{sealed: []*sealed{{since: ago(9)}, {since: ago(3)}, {}}}
	for _, tt := range []struct {
		own        time.Time
		long, want int
	}{
		{ago(8), 0, 3}, {ago(8), 7, 2}, {ago(6), 7, 1}, {ago(8), 8, 2}, {time.Time{}, 0, 2}, {ago(8), 10, 0},
	} {
		if got := p.known(&evidence{own: tt.own}, now, time.Duration(tt.long)*time.Second); got != tt.want {
			t.Errorf("ours since %s, for %d s: got %d, want %d", now.Sub(tt.own), tt.long, got, tt.want)
		}
	}
}

func TestSealed_Apart(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want bool
	}{
		{nil, true},
		{fmt.Errorf("dial: %w", syscall.ECONNREFUSED), true},
		{fmt.Errorf("at: %w", errStranger), true},
		{errors.New("i/o timeout"), false}, // it may well follow
	} {
		if got := (&sealed{err: tt.err}).apart(); got != tt.want {
			t.Errorf("%v: got %t", tt.err, got)
		}
	}
}

func TestSinceWhen(t *testing.T) {
	then, now := time.Unix(1, 0), time.Unix(2, 0)
	for _, tt := range []struct {
		since time.Time
		holds bool
		want  time.Time
	}{
		{time.Time{}, false, time.Time{}}, {time.Time{}, true, now}, {then, true, then}, {then, false, time.Time{}},
	} {
		if got := sinceWhen(tt.since, now, tt.holds); got != tt.want {
			t.Errorf("since %v, holds %t: got %v, want %v", tt.since, tt.holds, got, tt.want)
		}
	}
}
