package takeover

import (
	"context"
	"testing"

	"resec/commands/lock"
)

// What was done to an old master is undone only while the lock is still ours.
func TestMine(t *testing.T) {
	for _, tt := range []struct {
		name string
		end  func(context.CancelCauseFunc)
		want bool
	}{
		{"while nothing has ended", func(context.CancelCauseFunc) {}, true},
		{"when this process is told to stop: the lock is given back after that", func(end context.CancelCauseFunc) { end(context.Canceled) }, true},
		{"not when the lock is lost", func(end context.CancelCauseFunc) { end(ErrLost) }, false},
		{"not when the session is", func(end context.CancelCauseFunc) { end(lock.ErrSessionLost) }, false},
		{"not when the lease is over", func(end context.CancelCauseFunc) { end(lock.ErrLease) }, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ctx, end := context.WithCancelCause(t.Context())
			defer end(nil)
			tt.end(end)
			if got := stillHolder(ctx); got != tt.want {
				t.Errorf("got %t", got)
			}
		})
	}
}
