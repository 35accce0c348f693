// Package pace says how long a call to Consul may take. A context carries the pace of a process, because deadlines belong to
// contexts, and because each package that calls Consul learns from the calls of the others.
//
// It starts no goroutine; any goroutine may call it.
package pace

import (
	"context"
	"errors"
	"sync/atomic"
	"time"
)

const (
	// CallTimeout bounds one call to Consul that does not block by design, unless Consul is slow: some calls hang for 10 s after
	// Consul elected a new leader, and the next one does not.
	CallTimeout = 3 * time.Second
	// maxCallTimeout bounds a call to a Consul that is slow.
	maxCallTimeout = 4 * CallTimeout
)

// pace is how long the last call of a process took.
type pace struct{ took atomic.Int64 } // in nanoseconds

type key struct{}

// With returns a context whose calls share a pace. A call may take twice as long as the last one: at least CallTimeout, and at
// most maxCallTimeout. A Consul that answers late has carried the call out. A caller that gives up too early never knows that.
// Calls under a context without a pace may take CallTimeout.
func With(ctx context.Context) context.Context { return context.WithValue(ctx, key{}, &pace{}) }

func of(ctx context.Context) *pace {
	p, _ := ctx.Value(key{}).(*pace)
	return p
}

// Timeout is how long the next call may take.
func Timeout(ctx context.Context) time.Duration {
	p := of(ctx)
	if p == nil {
		return CallTimeout
	}
	return min(max(CallTimeout, 2*time.Duration(p.took.Load())), maxCallTimeout)
}

// maxCalls bounds calls that are made one after the other: no watchdog must take their caller for hung.
const maxCalls = maxCallTimeout + CallTimeout

// Calls is how long so many calls may take, one after the other, which take little time unless Consul is slow.
func Calls(ctx context.Context, n int) time.Duration {
	return min(CallTimeout+time.Duration(n)*(Timeout(ctx)-CallTimeout), maxCalls)
}

// Begin bounds a call. The caller calls end once the call has returned, with its error. A call that the caller has given up says
// nothing about Consul, and one that fails soon says nothing about answers.
func Begin(ctx context.Context) (bounded context.Context, end func(error)) {
	began := time.Now()
	bounded, cancel := context.WithTimeout(ctx, Timeout(ctx))
	return bounded, func(err error) {
		cancel()
		p, took := of(ctx), int64(time.Since(began))
		if p == nil || ctx.Err() != nil || errors.Is(err, context.Canceled) || err != nil && took < p.took.Load() {
			return
		}
		p.took.Store(took)
	}
}
