package takeover

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"resec/commands/lock"
)

func TestBeyond(t *testing.T) {
	lost := errors.New("the lock is lost")
	for _, tt := range []struct {
		name  string
		cause error // with which the context ends; nil: the process is to end
		after time.Duration
		want  error
	}{
		{"it ends with the lock", lost, 0, lost},
		{"and with the lease", lock.ErrLease, 0, lock.ErrLease},
		{"the end of the process it outlives", nil, commitGrace - time.Millisecond, nil},
		{"for a moment", nil, commitGrace, context.Canceled},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancelCause(t.Context())
				on, end := commitContext(ctx)
				defer end()
				cancel(tt.cause)
				<-time.After(tt.after)
				synctest.Wait()
				if got := context.Cause(on); got != tt.want {
					t.Errorf("after %s it has ended with %v, not %v", tt.after, got, tt.want)
				}
			})
		})
	}
}
