package cluster

import (
	"errors"
	"fmt"
	"syscall"
	"testing"
	"time"

	"resec/handlers"
	"resec/handlers/redis"
)

// A holder's session is ended on evidence alone: two probes of an address at which nothing listens, or a guard that has closed.
func TestFailureEvidence(t *testing.T) {
	const closes, again = 7500 * time.Millisecond, 200 * time.Millisecond
	m := &Master{Peer: handlers.Peer{ID: "a", RunID: "run-a", Address: "10.0.0.1:6379"}, Guard: 1, MaxLag: 5}
	three := map[string]MemberRecord{"a": {}, "b": {}, "me": {}}
	refused, timeout := fmt.Errorf("dial: %w", syscall.ECONNREFUSED), errors.New("i/o timeout")
	parked := redis.Status{RunID: "r", MasterAddr: redis.Sink}
	probe := func(b *FailureEvidence, of redis.Status, err error, others ...string) {
		b.Observe("a", of, err, time.Now(), m)
		for _, id := range others {
			b.Observe(id, parked, nil, time.Now(), m)
		}
	}
	for _, tt := range []struct {
		name   string
		probes func(*FailureEvidence)
		after  time.Duration // the probes
		want   time.Duration
	}{
		{"nothing is known", func(b *FailureEvidence) {}, 0, again},
		{"it refused just now", func(b *FailureEvidence) { probe(b, redis.Status{}, refused) }, 0, ConfirmDownDelay},
		{"and still does", func(b *FailureEvidence) { probe(b, redis.Status{}, refused) }, ConfirmDownDelay, 0},
		{"another instance answers, which proves the same", func(b *FailureEvidence) { probe(b, redis.Status{RunID: "z"}, nil) },
			ConfirmDownDelay, 0},
		{"a redis that is no member's answers, which proves the same",
			func(b *FailureEvidence) { probe(b, redis.Status{RunID: "z"}, ErrOtherInstance) }, ConfirmDownDelay, 0},
		{"it answers again", func(b *FailureEvidence) {
			probe(b, redis.Status{}, refused)
			probe(b, redis.Status{RunID: "run-a"}, nil)
		}, ConfirmDownDelay, again},
		{"it is unreachable after all", func(b *FailureEvidence) {
			probe(b, redis.Status{}, refused)
			probe(b, redis.Status{}, timeout)
		}, ConfirmDownDelay, again},
		{"it is unreachable, and the other members are not detached for long enough",
			func(b *FailureEvidence) { probe(b, redis.Status{}, timeout, "b", "me") }, time.Second, again},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := &FailureEvidence{runID: "run-a", Detached: NewDetachTracker()}
			tt.probes(b)
			at := time.Now()
			if !b.downSince.IsZero() {
				at = b.downSince
			}
			if got := b.UntilProven(State{Master: m, Members: three}, closes, again, at.Add(tt.after)); got != tt.want {
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
		b := &FailureEvidence{runID: "run-a", Detached: NewDetachTracker()}
		began := time.Now()
		s := State{Master: &Master{Peer: m.Peer, Guard: tt.guard, MaxLag: 5}, Members: three}
		closed := closes
		for d := time.Duration(0); d <= closed; d += 100 * time.Millisecond {
			for _, id := range tt.detached {
				b.Detached.Observe(id, parked, nil, began.Add(d))
			}
			if d < closed && b.UntilProven(s, closed, again, began.Add(d)) == 0 {
				t.Errorf("guard %d, %v: proven after %s", tt.guard, tt.detached, d)
			}
		}
		if got := b.UntilProven(s, closed, again, began.Add(closed)) == 0; got != tt.want {
			t.Errorf("guard %d, %v: proven %t", tt.guard, tt.detached, got)
		}
	}
}
