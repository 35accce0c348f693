package elect

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"resec/commands/expect"
	"resec/commands/lock"
)

// What a handler, the fence and the last calls have, from when the election is asked to stop. Before that the lease counts.
func TestStop_Budget(t *testing.T) {
	for _, child := range []bool{false, true} {
		t.Run(fmt.Sprintf("child %t", child), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := &Election{Child: child, HandlerTimeout: time.Minute}
				var deadline lock.RenewalDeadline
				deadline.Extend(time.Now(), time.Hour)
				e.lease.Store(&lock.Lease{&deadline})
				expect.Equal(t, "grace while it is not asked to stop", e.Grace(), killGrace)
				expect.Equal(t, "fence while it is not asked to stop", e.fenceTime(), time.Minute)
				expect.Equal(t, "call while it is not asked to stop", e.callTimeout(), lock.CallTimeout)
				e.stop.request()
				promote, kill := promoteEnd, fenceEnd-promoteEnd
				if child {
					promote, kill = childEnd, childEnd-promoteEnd
				}
				expect.Equal(t, "grace of a promote handler", e.Grace(), promote)
				<-time.After(promoteEnd)
				expect.Equal(t, "grace of a fence handler", e.Grace(), kill)
				expect.Equal(t, "fence", e.fenceTime(), fenceTimeout-promoteEnd)
				<-time.After(fenceEnd - promoteEnd)
				expect.Equal(t, "grace at the end", e.Grace(), minGrace)
				expect.Equal(t, "call at the end", e.callTimeout(), callsEnd-fenceEnd)
				<-time.After(time.Second)
				expect.Equal(t, "call after it", e.callTimeout(), minCallTimeout)
			})
		})
	}
}
