package lab

import (
	"testing"
	"time"
)

// Two servers accepted writes only if each certainly accepted one before the other did: a try was accepted at some moment between
// its sending and its answer.
func TestProber_SureOfOverlaps(t *testing.T) {
	t.Parallel()
	began := time.Now()
	at := func(ms int) time.Time { return began.Add(time.Duration(ms) * time.Millisecond) }
	for name, c := range map[string]struct {
		a, b []int // when each try was accepted
		want int   // overlaps
		ms   int   // how long the first is
	}{
		"one after the other":      {[]int{0, 10}, []int{20, 30}, 0, 0},
		"both":                     {[]int{0, 20}, []int{10, 30}, 1, 10},
		"one try amid the other's": {[]int{4}, []int{2, 8}, 1, 0},
	} {
		p := &Prober{accepted: map[string][]Interval{}}
		for name, tries := range map[string][]int{"a": c.a, "b": c.b} {
			for i, try := range tries {
				p.accept(name, at(try), i > 0)
			}
		}
		got := p.Overlaps()
		if len(got) != c.want || c.want > 0 && got[0].Lasted() != time.Duration(c.ms)*time.Millisecond {
			t.Errorf("%s: %v", name, got)
		}
	}
}
