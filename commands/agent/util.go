package agent

import (
	"context"
	"time"
)

// sleep returns after d, or when the context ends.
func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
