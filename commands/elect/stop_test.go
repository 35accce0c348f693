package elect

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"resec/commands/expect"
	"resec/commands/lock"
	"resec/commands/pace"
)

// What a handler, the fence and the last calls have, from when the election is asked to stop. Before that the lease counts.
func TestStop_Budget(t *testing.T) {
	for _, child := range []bool{false, true} {
		t.Run(fmt.Sprintf("child %t", child), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := &Election{Child: child, HandlerTimeout: time.Minute, Handler: handlerFunc(nil)}
				var deadline lock.RenewalDeadline
				deadline.Extend(time.Now(), time.Hour)
				e.lease.Store(&lock.Lease{&deadline})
				expect.Equal(t, "grace while it is not asked to stop", e.Grace(), killGrace)
				expect.Equal(t, "fence while it is not asked to stop", e.fenceTime(), time.Minute)
				expect.Equal(t, "call while it is not asked to stop", e.callTimeout(), pace.CallTimeout)
				e.stop.watch(t.Context())
				fence, cancel := e.stop.within(t.Context(), e.fenceTime(), fenceTimeout, minFenceTime) // it runs already
				defer cancel()
				e.stop.request()
				began := time.Now()
				promote, kill := promoteEnd, fenceEnd-promoteEnd
				if child {
					promote, kill = childEnd, childEnd-promoteEnd
				}
				expect.Equal(t, "grace of a promote handler", e.Grace(), promote)
				<-time.After(promoteEnd)
				expect.Equal(t, "grace of a fence handler", e.Grace(), kill)
				<-fence.Done()
				expect.Equal(t, "fence", time.Since(began), fenceTimeout)
				<-time.After(fenceEnd - fenceTimeout)
				expect.Equal(t, "grace at the end", e.Grace(), minGrace)
				expect.Equal(t, "call at the end", e.callTimeout(), callsEnd-fenceEnd)
				<-time.After(time.Second)
				expect.Equal(t, "call after it", e.callTimeout(), minCallTimeout)
			})
		})
	}
}

// The limit of a handler cuts neither the built-in fence, nor any fence below minFenceTime.
func TestFenceTime(t *testing.T) {
	for _, tt := range []struct {
		name         string
		handler      bool
		limit, lease time.Duration
		want         time.Duration
	}{
		{"the lease bounds a handler", true, time.Minute, 15 * time.Second, 15 * time.Second},
		{"its limit bounds a handler", true, 10 * time.Second, 15 * time.Second, 10 * time.Second},
		{"a short limit leaves a handler the least time", true, time.Second, 15 * time.Second, minFenceTime},
		{"so does a lease that is over", true, time.Minute, 0, minFenceTime},
		{"a handler without a limit", true, 0, 15 * time.Second, 15 * time.Second},
		{"the built-in fence has no limit", false, time.Second, 15 * time.Second, 15 * time.Second},
		{"and the least time after the lease", false, time.Second, 0, minFenceTime},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := &Election{HandlerTimeout: tt.limit}
				if tt.handler {
					e.Handler = handlerFunc(nil)
				}
				var deadline lock.RenewalDeadline
				deadline.Extend(time.Now(), tt.lease)
				e.lease.Store(&lock.Lease{&deadline})
				expect.Equal(t, "fence", e.fenceTime(), tt.want)
			})
		})
	}
}
