package agent

import (
	"context"
	"time"
)

// signal wakes whoever receives from c, a channel of size 1; a signal that was not received yet is not repeated.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// sleep returns after d, or when the context ends.
func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
