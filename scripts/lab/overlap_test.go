package lab

import (
	"testing"
	"time"
)

// Two accepted only where it is sure that each accepted before the other did: a try was accepted at some moment between
// its sending and its answer.
func TestProber_SureOfOverlaps(t *testing.T) {
	t.Parallel()
	began := time.Now()
	at := func(ms int) time.Time { return began.Add(time.Duration(ms) * time.Millisecond) }
	for name, c := range map[string]struct {
		a, b [][2]int // when each accepted try was sent and answered
		want int      // overlaps
		ms   int      // how long the first is
	}{
		"one after the other":           {[][2]int{{0, 1}, {10, 11}}, [][2]int{{20, 21}, {30, 31}}, 0, 0},
		"handed over during a try":      {[][2]int{{0, 1}, {10, 13}}, [][2]int{{11, 12}, {20, 21}}, 0, 0},
		"both":                          {[][2]int{{0, 1}, {20, 21}}, [][2]int{{10, 11}, {30, 31}}, 1, 9},
		"one try amid the other's":      {[][2]int{{4, 5}}, [][2]int{{2, 3}, {8, 9}}, 1, 0},
		"one try that took all of them": {[][2]int{{0, 10}}, [][2]int{{2, 3}, {8, 9}}, 0, 0},
	} {
		p := &Prober{accepted: map[string][]Interval{}}
		for name, tries := range map[string][][2]int{"a": c.a, "b": c.b} {
			for i, try := range tries {
				p.accept(name, at(try[0]), at(try[1]), i > 0)
			}
		}
		got := p.Overlaps()
		if len(got) != c.want || c.want > 0 && got[0].Lasted() != time.Duration(c.ms)*time.Millisecond {
			t.Errorf("%s: %v", name, got)
		}
	}
}
