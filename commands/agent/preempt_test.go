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

// A holder's session is ended on evidence alone: two probes of an address at which nothing listens, or a guard that has closed.
func TestFailureEvidence(t *testing.T) {
	m := &cluster.Master{Peer: handlers.Peer{ID: "a", RunID: "run-a", Address: "10.0.0.1:6379"}, Guard: 1, MaxLag: 5}
	three := map[string]cluster.MemberRecord{"a": {}, "b": {}, "me": {}}
	refused, timeout := fmt.Errorf("dial: %w", syscall.ECONNREFUSED), errors.New("i/o timeout")
	parked := redis.Status{RunID: "r", MasterAddr: redis.Sink}
	probe := func(b *failureEvidence, of redis.Status, err error, others ...string) {
		b.observe(answer{cluster.Member{ID: "a"}, of, err, time.Now()}, m)
		for _, id := range others {
			b.observe(answer{cluster.Member{ID: id}, parked, nil, time.Now()}, m)
		}
	}
	for _, tt := range []struct {
		name   string
		probes func(*failureEvidence)
		after  time.Duration // the probes
		want   time.Duration
	}{
		{"nothing is known", func(b *failureEvidence) {}, 0, takeover.ProbeInterval},
		{"it refused just now", func(b *failureEvidence) { probe(b, redis.Status{}, refused) }, 0, confirmDownDelay},
		{"and still does", func(b *failureEvidence) { probe(b, redis.Status{}, refused) }, confirmDownDelay, 0},
		{"another instance answers, which proves the same", func(b *failureEvidence) { probe(b, redis.Status{RunID: "z"}, nil) }, confirmDownDelay, 0},
		{"a redis that is no member's answers, which proves the same", func(b *failureEvidence) { probe(b, redis.Status{RunID: "z"}, cluster.ErrOtherInstance) }, confirmDownDelay, 0},
		{"it answers again", func(b *failureEvidence) {
			probe(b, redis.Status{}, refused)
			probe(b, redis.Status{RunID: "run-a"}, nil)
		}, confirmDownDelay, takeover.ProbeInterval},
		{"it is unreachable after all", func(b *failureEvidence) { probe(b, redis.Status{}, refused); probe(b, redis.Status{}, timeout) }, confirmDownDelay, takeover.ProbeInterval},
		{"it is unreachable, and the other members are not detached for long enough", func(b *failureEvidence) { probe(b, redis.Status{}, timeout, "b", "me") }, time.Second, takeover.ProbeInterval},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := &failureEvidence{runID: "run-a", detached: cluster.NewDetachTracker()}
			tt.probes(b)
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
		guard    int
		detached []string
		want     bool
	}{
		{1, []string{"b", "me"}, true},   // two of three: the master has no replica left
		{1, []string{"me"}, false},       // it may have one left
		{2, []string{"me"}, true},        // one replica is not enough for its guard
		{0, []string{"b", "me"}, false},  // it needs no replica
		{1, []string{"me", "x"}, false},  // a server that is not recorded does not count
		{-1, []string{"b", "me"}, false}, // GUARD=off: only its lease closes it
	} {
		b := &failureEvidence{runID: "run-a", detached: cluster.NewDetachTracker()}
		began := time.Now()
		s := cluster.State{Master: &cluster.Master{Peer: m.Peer, Guard: tt.guard, MaxLag: 5}, Members: three}
		closed := takeover.GuardCloseTime(s.Master)
		for d := time.Duration(0); d <= closed; d += 100 * time.Millisecond {
			for _, id := range tt.detached {
				b.detached.Observe(id, parked, nil, began.Add(d))
			}
			if d < closed && b.untilProven(s, closed, began.Add(d)) == 0 {
				t.Errorf("guard %d, %v: proven after %s", tt.guard, tt.detached, d)
			}
		}
		if got := b.untilProven(s, closed, began.Add(closed)) == 0; got != tt.want {
			t.Errorf("guard %d, %v: proven %t", tt.guard, tt.detached, got)
		}
	}
}
