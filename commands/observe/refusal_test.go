package observe

import (
	"testing"
	"time"
)

func TestLasting_Changed(t *testing.T) {
	at := func(minutes int) time.Time { return time.Date(2030, 1, 1, 0, minutes, 0, 0, time.UTC) }
	var l lasting
	for i, tt := range []struct {
		now    string
		minute int
		want   bool
	}{
		{"", 0, false}, {"full", 0, true}, {"full", 1, false}, {"", 2, true}, {"full", 3, true}, {"", 4, false},
		{"full", 5, false}, {"disk", 6, true}, {"", 6, false}, {"", 7, true}, {"", 8, false},
	} {
		if got := l.changed(tt.now, at(tt.minute)); got != tt.want {
			t.Errorf("%d: %q: got %t", i, tt.now, got)
		}
	}
}
