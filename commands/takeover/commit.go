package takeover

import (
	"context"
	"time"
)

// commitGrace bounds how long a take-over that is past the old master goes on, once the process is to end.
const commitGrace = 2 * time.Second

// commitContext is a context for what is left to do once the old master accepts no writes any more: to stop there would leave nobody
// who does. So it ends as the other does, but for the end of the process: that it outlives for a moment.
func commitContext(ctx context.Context) (context.Context, func()) {
	on, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		if !stillHolder(ctx) {
			cancel(context.Cause(ctx))
			return
		}
		late := time.AfterFunc(commitGrace, func() { cancel(nil) })
		context.AfterFunc(on, func() { late.Stop() })
	})
	return on, func() { stop(); cancel(nil) }
}

// stillHolder tells whether the lock is still ours where the context has ended: after a loss or the lease's end the next holder may
// count on what we did to the old master. The end of this process, and of the time for leaving, is no loss.
func stillHolder(ctx context.Context) bool {
	cause := context.Cause(ctx)
	return cause == nil || cause == context.Canceled || cause == context.DeadlineExceeded
}
