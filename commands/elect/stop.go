package elect

import (
	"context"
	"sync/atomic"
	"time"

	"resec/commands/pace"
)

// killGrace is the time from SIGTERM to SIGKILL for a handler, unless the lease or a stop leaves less. It is that of
// `consul lock`.
const killGrace = 5 * time.Second

// The budget of a stop, from when the election was asked to stop. A handler that hangs, or ignores SIGTERM, has ended in time.
const (
	killAfter    = 5 * time.Second         // Nomad's kill_timeout
	promoteEnd   = time.Second             // of a promote handler that still runs, and of what it left running
	fenceTimeout = 3300 * time.Millisecond // of the fence handler, which has at least minFenceTime
	fenceEnd     = 3600 * time.Millisecond // of the fence handler and what it left running
	childEnd     = fenceEnd                // of a child, which has no fence handler
	callsEnd     = 4500 * time.Millisecond // of the last calls to Consul, if it does not answer
	minGrace     = 100 * time.Millisecond
	// deregisterTimeout bounds the removal of the service.
	deregisterTimeout = 1200 * time.Millisecond
	minCallTimeout    = 200 * time.Millisecond // for one call to a Consul that answers, whatever time is left
)

const (
	_ = uint(killAfter - callsEnd - 2*minCallTimeout) // the removal of the service, and of the session
	_ = uint(callsEnd - fenceEnd)
	_ = uint(fenceEnd - fenceTimeout - minGrace)
	_ = uint(fenceTimeout - promoteEnd - minFenceTime)
)

// stop is when the election was asked to stop.
type stop struct {
	at    atomic.Pointer[time.Time]
	asked context.Context // ends with request; nil: that is never called
	end   context.CancelFunc
}

// watch is called before all else.
func (s *stop) watch(ctx context.Context) {
	s.asked, s.end = context.WithCancel(context.WithoutCancel(ctx))
}

// request notes that the election was asked to stop, now.
func (s *stop) request() {
	now := time.Now()
	s.at.Store(&now)
	s.end()
}

// within is a context that ends after limit(d, end, least): a stop that is requested later shortens it.
func (s *stop) within(ctx context.Context, d, end, least time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(ctx, s.limit(d, end, least, time.Now()))
	if s.asked == nil {
		return ctx, cancel
	}
	unhook := context.AfterFunc(s.asked, func() { time.AfterFunc(s.limit(d, end, least, time.Now()), cancel) })
	return ctx, func() { unhook(); cancel() }
}

// limit returns d, or what is left of the budget until end if that is less; then at least the least.
func (s *stop) limit(d, end, least time.Duration, now time.Time) time.Duration {
	at := s.at.Load()
	if at == nil {
		return d
	}
	return min(d, max(least, end-now.Sub(*at)))
}

// Grace returns how long a handler has from SIGTERM to SIGKILL: half of what is left of the lease, because the fence handler
// needs the other half.
func (e *Election) Grace() time.Duration {
	now, end := time.Now(), promoteEnd
	if at := e.stop.at.Load(); at != nil && now.Sub(*at) >= promoteEnd {
		end = fenceEnd
	}
	if e.Child {
		end = childEnd
	}
	return e.stop.limit(min(killGrace, e.Lease()/2), end, minGrace, now)
}

// fenceTime returns how long fencing may take without a stop: what is left of the lease, a handler no longer than its limit, and
// at least minFenceTime.
func (e *Election) fenceTime() time.Duration {
	d := e.Lease()
	if e.Handler != nil && e.HandlerTimeout > 0 {
		d = min(d, e.HandlerTimeout)
	}
	return max(d, minFenceTime)
}

// callTimeout returns how long a last call to Consul may take.
func (e *Election) callTimeout() time.Duration {
	return e.stop.limit(pace.CallTimeout, callsEnd, minCallTimeout, time.Now())
}

// deregisterTime returns how long the removal of the service may take.
func (e *Election) deregisterTime() time.Duration {
	return e.stop.limit(deregisterTimeout, callsEnd, minCallTimeout, time.Now())
}
