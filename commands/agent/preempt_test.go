package agent

import (
	"errors"
	"fmt"
	"syscall"
	"testing"
	"time"

	"resec/commands/cluster"
	"resec/commands/takeover"
	"resec/handlers"
	"resec/handlers/redis"
)

// A holder's session is ended on evidence alone: two looks at an address at which nothing listens, or a guard that has closed.
func TestBereavement(t *testing.T) {
	m := &cluster.Master{Peer: handlers.Peer{ID: "a", RunID: "run-a", Address: "10.0.0.1:6379"}, Guard: 1, MaxLag: 5}
	three := map[string]cluster.MemberRecord{"a": {}, "b": {}, "me": {}}
	refused, silent := fmt.Errorf("dial: %w", syscall.ECONNREFUSED), errors.New("i/o timeout")
	parked := redis.Status{RunID: "r", MasterAddr: redis.Sink}
	look := func(b *failureEvidence, of redis.Status, err error, others ...string) {
		b.observe("a", m, of, err, time.Now())
		for _, id := range others {
			b.observe(id, m, parked, nil, time.Now())
		}
	}
	for _, tt := range []struct {
		name  string
		looks func(*failureEvidence)
		after time.Duration // the looks
		want  time.Duration
	}{
		{"nothing is known", func(b *failureEvidence) {}, 0, takeover.ProbeInterval},
		{"it refused just now", func(b *failureEvidence) { look(b, redis.Status{}, refused) }, 0, confirmDownDelay},
		{"and still does", func(b *failureEvidence) { look(b, redis.Status{}, refused) }, confirmDownDelay, 0},
		{"another run is as good", func(b *failureEvidence) { look(b, redis.Status{RunID: "z"}, nil) }, confirmDownDelay, 0},
		{"another's Redis, too", func(b *failureEvidence) { look(b, redis.Status{RunID: "z"}, cluster.ErrOtherInstance) }, confirmDownDelay, 0},
		{"it answers again", func(b *failureEvidence) { look(b, redis.Status{}, refused); look(b, redis.Status{RunID: "run-a"}, nil) }, confirmDownDelay, takeover.ProbeInterval},
		{"it is silent after all", func(b *failureEvidence) { look(b, redis.Status{}, refused); look(b, redis.Status{}, silent) }, confirmDownDelay, takeover.ProbeInterval},
		{"silent, and all others follow nobody, not for long enough", func(b *failureEvidence) { look(b, redis.Status{}, silent, "b", "me") }, time.Second, takeover.ProbeInterval},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := &failureEvidence{run: "run-a", detached: cluster.NewDetachTracker()}
			tt.looks(b)
			at := time.Now()
			if !b.downSince.IsZero() {
				at = b.downSince
			}
			if got := b.untilProven(cluster.State{Master: m, Members: three}, takeover.GuardCloseTime(m), at.Add(tt.after)); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
	for _, tt := range []struct {
		guard int
		who   []string
		want  bool
	}{
		{1, []string{"b", "me"}, true},   // two of three: the master has no replica left
		{1, []string{"me"}, false},       // it may have one
		{2, []string{"me"}, true},        // which is not enough for it
		{0, []string{"b", "me"}, false},  // it needs none
		{1, []string{"me", "x"}, false},  // who is not recorded does not count
		{-1, []string{"b", "me"}, false}, // GUARD=off: only its lease closes it
	} {
		b := &failureEvidence{run: "run-a", detached: cluster.NewDetachTracker()}
		began := time.Now()
		s := cluster.State{Master: &cluster.Master{Peer: m.Peer, Guard: tt.guard, MaxLag: 5}, Members: three}
		closed := takeover.GuardCloseTime(s.Master)
		for d := time.Duration(0); d <= closed; d += 100 * time.Millisecond {
			for _, id := range tt.who {
				b.detached.Observe(id, parked, nil, began.Add(d))
			}
			if d < closed && b.untilProven(s, closed, began.Add(d)) == 0 {
				t.Errorf("guard %d, %v: proven after %s", tt.guard, tt.who, d)
			}
		}
		if got := b.untilProven(s, closed, began.Add(closed)) == 0; got != tt.want {
			t.Errorf("guard %d, %v: proven %t", tt.guard, tt.who, got)
		}
	}
}
