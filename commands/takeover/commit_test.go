package takeover

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"resec/commands/lock"
)

func TestCommitContext(t *testing.T) {
	lost := errors.New("the lock is lost")
	for _, tt := range []struct {
		name  string
		cause error // with which the context ends; nil: the process is to stop
		after time.Duration
		want  error
	}{
		{"it ends with the lock", lost, 0, lost},
		{"it ends with the lease", lock.ErrLease, 0, lock.ErrLease},
		{"it outlives a stop of the process", nil, commitGrace - time.Millisecond, nil},
		{"only for the grace period", nil, commitGrace, context.Canceled},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancelCause(t.Context())
				committed, end := commitContext(ctx)
				defer end()
				cancel(tt.cause)
				<-time.After(tt.after)
				synctest.Wait()
				if got := context.Cause(committed); got != tt.want {
					t.Errorf("after %s it has ended with %v, not %v", tt.after, got, tt.want)
				}
			})
		})
	}
}

// What was done to an old master is undone only while the lock is still ours.
func TestStillHolder(t *testing.T) {
	for _, tt := range []struct {
		name string
		end  func(context.CancelCauseFunc)
		want bool
	}{
		{"nothing has ended", func(context.CancelCauseFunc) {}, true},
		{"the process is to stop: the lock is released later", func(end context.CancelCauseFunc) { end(context.Canceled) }, true},
		{"the time for a handover is over", func(end context.CancelCauseFunc) { end(context.DeadlineExceeded) }, true},
		{"the lock is lost", func(end context.CancelCauseFunc) { end(ErrLost) }, false},
		{"the session is lost", func(end context.CancelCauseFunc) { end(lock.ErrSessionLost) }, false},
		{"the lease is over", func(end context.CancelCauseFunc) { end(lock.ErrLease) }, false},
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
