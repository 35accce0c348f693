package handlers

import (
	"context"
	"errors"
	"fmt"
	"time"
)

const (
	// Timeout bounds one invocation of a handler by default, unless the handler is the child of `resec elect -child`, which runs as
	// long as the lock is held. A handler that hangs would otherwise keep a lock without a published master, or miss all later
	// events. It is generous: twice what a hook has.
	Timeout = 60 * time.Second
	// SlowAfter is when a handler that still runs is worth a log line.
	SlowAfter = 10 * time.Second
)

// ErrTimeout is the cause of a context that ended with a handler's timeout.
var ErrTimeout = errors.New("the handler took too long")

// WithTimeout returns a context for one invocation of a handler. It ends after the limit, with ErrTimeout as its cause; with a
// limit of 0 it does not.
func WithTimeout(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	if limit == 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeoutCause(ctx, limit, fmt.Errorf("%w: its limit is %s", ErrTimeout, limit))
}
