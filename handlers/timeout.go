package handlers

import (
	"context"
	"fmt"
	"time"
)

// Timeout bounds one invocation of a handler, unless the handler is the child of `resec elect -child`, which runs as long as the
// lock is held. A handler that hangs would otherwise keep a lock without a published master, or miss all later events. It is
// generous: twice what a hook has.
const Timeout = 60 * time.Second

// ErrTimeout is the cause of a context that ended with Timeout.
var ErrTimeout = fmt.Errorf("the handler took longer than %s", Timeout)

// WithTimeout returns a context for one invocation of a handler. It ends after Timeout, with ErrTimeout as its cause.
func WithTimeout(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, Timeout, ErrTimeout)
}
