package lock

import (
	"sync"
	"time"
)

// Lease is how long a member may still act as the holder: it ends at the soonest end of its clocks, each being the
// time just before the last successful renewal was sent plus that renewal's TTL. Consul frees a session no sooner than
// one TTL after the renewal reached it, and it reached it after it was sent, so the lease ends before anybody else can
// hold the lock by expiry. It proves nothing to others: a session can also be destroyed.
type Lease struct {
	mu    sync.Mutex
	until map[string]time.Time
}

// Extend records that a renewal sent at that time succeeded. The time must come from time.Now: its monotonic reading
// is what counts when the wall clock jumps.
func (l *Lease) Extend(clock string, sent time.Time, ttl time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.until == nil {
		l.until = map[string]time.Time{}
	}
	l.until[clock] = sent.Add(ttl)
}

// Left is the time that is left at now; 0 when the lease is over or never began.
func (l *Lease) Left(now time.Time) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	left := time.Duration(-1)
	for _, until := range l.until {
		if d := max(0, until.Sub(now)); left < 0 || d < left {
			left = d
		}
	}
	return max(0, left)
}
