package takeover

import (
	"context"
	"time"
)

// commitGrace bounds how long a takeover continues after this process was asked to stop, once the old master accepts no writes.
const commitGrace = 2 * time.Second

// commitContext returns a context for the steps that follow once the old master accepts no writes: to stop there would leave
// the cluster without a master that does. It ends like ctx if the lock or the lease is lost. If this process is to stop it ends
// commitGrace later.
func commitContext(ctx context.Context) (context.Context, func()) {
	committed, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		if !stillHolder(ctx) {
			cancel(context.Cause(ctx))
			return
		}
		late := time.AfterFunc(commitGrace, func() { cancel(nil) })
		context.AfterFunc(committed, func() { late.Stop() })
	})
	return committed, func() { stop(); cancel(nil) }
}

// stillHolder reports whether the lock is still ours although the context may have ended. After a loss of the lock or the end
// of the lease the next holder may rely on what was done to the old master. The end of this process, or of the time for a
// handover, is no loss.
func stillHolder(ctx context.Context) bool {
	cause := context.Cause(ctx)
	return cause == nil || cause == context.Canceled || cause == context.DeadlineExceeded
}
