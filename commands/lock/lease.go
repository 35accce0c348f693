package lock

import (
	"context"
	"errors"
	"math"
	"sync"
	"time"
)

// ErrLease is the cause of a context that ended with a lease.
var ErrLease = errors.New("the lease is over")

// RenewalDeadline is until when one thing that Consul waits for was renewed: the time just before the last successful renewal
// was sent, plus its TTL. Consul counts from when the renewal reached it, which was later. A new clock has run out.
type RenewalDeadline struct {
	mu    sync.Mutex
	until time.Time
}

// Extend records that a renewal sent at that time succeeded. The time must come from time.Now: its monotonic reading
// is what counts when the wall clock jumps.
func (c *RenewalDeadline) Extend(sent time.Time, ttl time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.until = sent.Add(ttl)
}

func (c *RenewalDeadline) left(now time.Time) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return max(0, c.until.Sub(now))
}

// Lease is how long a member may still act as the holder of one session: until the soonest of its clocks has run out.
// It ends before anybody else can hold the lock because of a renewal that failed. It proves nothing to others: a
// session can also be destroyed.
type Lease []*RenewalDeadline

// Left is the time that is left at now; 0 when the lease is over or never began.
func (l Lease) Left(now time.Time) time.Duration {
	left := time.Duration(math.MaxInt64)
	for _, c := range l {
		left = min(left, c.left(now))
	}
	if len(l) == 0 {
		return 0
	}
	return left
}

// Context ends when the lease does, however often it is extended before; its cause is then ErrLease.
func (l Lease) Context(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	var t *time.Timer
	t = time.AfterFunc(math.MaxInt64, func() {
		if left := l.Left(time.Now()); left > 0 {
			t.Reset(left)
		} else {
			cancel(ErrLease)
		}
	})
	t.Reset(l.Left(time.Now()))
	return ctx, func() { t.Stop(); cancel(nil) }
}
