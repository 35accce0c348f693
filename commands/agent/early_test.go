package agent

import (
	"errors"
	"fmt"
	"syscall"
	"testing"
	"time"

	"resec/commands/elect"
	"resec/commands/lock"
	"resec/handlers"
	"resec/handlers/redis"
)

// A holder's session is ended on evidence alone: two looks at an address at which nothing listens, or a guard that has closed.
func TestBereavement(t *testing.T) {
	m := &lock.Master{Peer: handlers.Peer{ID: "a", RunID: "run-a", Address: "10.0.0.1:6379"}, Guard: 1, MaxLag: 5}
	three := map[string]lock.Recorded{"a": {}, "b": {}, "me": {}}
	refused, silent := fmt.Errorf("dial: %w", syscall.ECONNREFUSED), errors.New("i/o timeout")
	parked := redis.Status{RunID: "r", Of: redis.Sink}
	look := func(b *bereavement, of redis.Status, err error, others ...string) {
		b.note("a", m, of, err, time.Now())
		for _, id := range others {
			b.note(id, m, parked, nil, time.Now())
		}
	}
	for _, tt := range []struct {
		name  string
		looks func(*bereavement)
		after time.Duration // the looks
		want  time.Duration
	}{
		{"nothing is known", func(b *bereavement) {}, 0, elect.LookAgain},
		{"it refused just now", func(b *bereavement) { look(b, redis.Status{}, refused) }, 0, goneFor},
		{"and still does", func(b *bereavement) { look(b, redis.Status{}, refused) }, goneFor, 0},
		{"another run is as good", func(b *bereavement) { look(b, redis.Status{RunID: "z"}, nil) }, goneFor, 0},
		{"another's Redis, too", func(b *bereavement) { look(b, redis.Status{RunID: "z"}, elect.ErrStranger) }, goneFor, 0},
		{"it answers again", func(b *bereavement) { look(b, redis.Status{}, refused); look(b, redis.Status{RunID: "run-a"}, nil) }, goneFor, elect.LookAgain},
		{"it is silent after all", func(b *bereavement) { look(b, redis.Status{}, refused); look(b, redis.Status{}, silent) }, goneFor, elect.LookAgain},
		{"silent, and all others follow nobody, not for long enough", func(b *bereavement) { look(b, redis.Status{}, silent, "b", "me") }, time.Second, elect.LookAgain},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := &bereavement{run: "run-a", vigil: elect.NewVigil()}
			tt.looks(b)
			at := time.Now()
			if !b.gone.IsZero() {
				at = b.gone
			}
			if got := b.proven(lock.State{Master: m, Record: three}, elect.ClosedAfter(m), at.Add(tt.after)); got != tt.want {
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
		b := &bereavement{run: "run-a", vigil: elect.NewVigil()}
		began := time.Now()
		s := lock.State{Master: &lock.Master{Peer: m.Peer, Guard: tt.guard, MaxLag: 5}, Record: three}
		closed := elect.ClosedAfter(s.Master)
		for d := time.Duration(0); d <= closed; d += 100 * time.Millisecond {
			for _, id := range tt.who {
				b.vigil.Note(id, parked, nil, began.Add(d))
			}
			if d < closed && b.proven(s, closed, began.Add(d)) == 0 {
				t.Errorf("guard %d, %v: proven after %s", tt.guard, tt.who, d)
			}
		}
		if got := b.proven(s, closed, began.Add(closed)) == 0; got != tt.want {
			t.Errorf("guard %d, %v: proven %t", tt.guard, tt.who, got)
		}
	}
}
