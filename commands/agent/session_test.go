package agent

import (
	"context"
	"testing"
	"time"

	"resec/commands/cluster"
)

// At a stop the lock is taken again to remove the guard, unless another member relies on it.
func TestReacquire(t *testing.T) {
	t.Parallel()
	published := master("me", "run-me", 1)
	short := func() (context.Context, context.CancelFunc) {
		return context.WithTimeout(t.Context(), 300*time.Millisecond)
	}
	for _, tt := range []struct {
		name   string
		holder string // empty: the lock is free
		m      *cluster.Master
		known  bool // the session is the one that we know
		want   bool
	}{
		{"we hold it", "me", published, true, true},
		{"it is free", "", published, true, true},
		{"it is free, and we have no session", "", published, false, true},
		{"a session of ours that was lost holds it", "me", published, false, false},
		{"another member holds it", "b", published, true, false},
		{"another instance is published", "me", master("me", "run-new", 1), true, false},
		{"none is published", "me", nil, true, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := onConsul(t)
			s := session(t, a)
			v := acquire(t, a, s, tt.holder+"", tt.m)
			if tt.holder == "" {
				ok(t, a.Lock.Release(t.Context(), s.ID, v, ""))
			}
			ours := s
			if !tt.known {
				ours = nil
			}
			ctx, cancel := short()
			defer cancel()
			got, v, end, err := newController(a).reacquire(ctx, ours, "run-me")
			if (err == nil) != tt.want {
				t.Errorf("got %v", err)
			}
			if tt.want {
				equal(t, "session", got.ID, v.Session)
				equal(t, "ours", got == s, tt.holder != "")
			}
			end()
			if v, err = a.Lock.Read(t.Context()); err != nil || v.Free() != (tt.holder == "") {
				t.Errorf("after the end: %+v, %v", v, err)
			}
		})
	}
}
