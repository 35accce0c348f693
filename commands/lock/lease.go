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

// RenewalDeadline is the time until which one renewal at Consul holds: the time just before the last successful renewal was
// sent, plus its TTL. Consul counts from the renewal's arrival, which is later. A new RenewalDeadline has passed.
type RenewalDeadline struct {
	mu    sync.Mutex
	until time.Time
}

// Extend records that a renewal sent at that time succeeded. An answer that comes after the answer to a later renewal changes
// nothing. The time must come from time.Now: its monotonic reading counts if the wall clock jumps.
func (d *RenewalDeadline) Extend(sent time.Time, ttl time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if until := sent.Add(ttl); until.After(d.until) {
		d.until = until
	}
}

func (d *RenewalDeadline) left(now time.Time) time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	return max(0, d.until.Sub(now))
}

// Lease is how long a member may act as the holder of one session: until the first of its deadlines passes. It ends before
// another member can hold the lock because of a renewal that failed. It proves nothing to others, because a session can also
// be destroyed.
type Lease []*RenewalDeadline

// Left returns the time left at now; 0 if the lease is over or never began.
func (l Lease) Left(now time.Time) time.Duration {
	if len(l) == 0 {
		return 0
	}
	left := time.Duration(math.MaxInt64)
	for _, d := range l {
		left = min(left, d.left(now))
	}
	return left
}

// Context returns a context that ends when the lease does, however often the lease is extended before. Its cause is then
// ErrLease.
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
