package cluster

import (
	"errors"
	"sync"
	"time"

	"resec/handlers/redis"
)

// ErrOtherInstance is returned if another Redis answers at a member's address.
var ErrOtherInstance = errors.New("another redis answers at its address")

// Down reports whether err, the result of asking for a member's Redis, says that the member's Redis does not run: nothing
// listens at its address, or another Redis answers there.
func Down(err error) bool { return redis.Refused(err) || errors.Is(err, ErrOtherInstance) }

// MayAnswerLater reports whether a server that did not answer may do so soon: it is slow or out of reach, or has as many clients
// as it may have.
func MayAnswerLater(err error) bool {
	return (redis.OutOfReach(err) || redis.RefusesClients(err)) && !Down(err)
}

// DetachTracker knows since when each member has not replicated from an unreachable master. It uses the clock of this process
// alone: the clock of another machine may jump. Several goroutines may use it.
type DetachTracker struct {
	mu       sync.Mutex
	detached map[string]detached // member id → what is known of it
}

// detached is the time for which one member is known not to replicate from any master. The zero value says that it may
// replicate.
type detached struct {
	since, last time.Time // of the first and of the last observation
	run         string    // empty: the member's Redis is down
	linkDownFor int       // seconds, as Redis counts them
}

// MaxObservationGap is the longest time between two observations of a member that still belong together. The member may have
// followed the old master in between. But its agent parks it again only after the master was unreachable for HEALTHCHECK_TIMEOUT.
// Redis then counts the seconds since its link went down from 0 again, which observe notices. Whoever collects evidence must
// observe every member more often than this, whatever the slowest of them does.
const MaxObservationGap = 1500 * time.Millisecond

// NewDetachTracker returns a tracker that has observed no member yet.
func NewDetachTracker() *DetachTracker { return &DetachTracker{detached: map[string]detached{}} }

// Observe takes in the answer of a member's Redis at that time, or the error with which it could not be asked.
func (d *DetachTracker) Observe(id string, st redis.Status, err error, at time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.detached[id] = d.detached[id].observe(st, err, at)
}

// CountDetached returns how many of the members have been detached for at least that long.
func (d *DetachTracker) CountDetached(now time.Time, atLeast time.Duration, ids ...string) (n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, id := range ids {
		if d.detached[id].lastedFor(now, atLeast) {
			n++
		}
	}
	return n
}

// lastedFor reports whether the member has been detached for at least that long. It has not if the last observation is too old.
func (m detached) lastedFor(now time.Time, atLeast time.Duration) bool {
	if m.since.IsZero() || now.Sub(m.last) > MaxObservationGap {
		return false
	}
	return now.Sub(m.since) >= atLeast
}

// observe returns what is known of a member after one more observation.
func (m detached) observe(st redis.Status, err error, at time.Time) detached {
	next := detached{since: at, last: at, run: st.RunID, linkDownFor: st.LinkDownFor}
	if Down(err) {
		next.run, next.linkDownFor = "", 0
	} else if err != nil || !st.Parked() && !st.Master {
		return detached{}
	}
	if m.continuesAs(next) {
		next.since = m.since
	}
	return next
}

// continuesAs reports whether the member was detached during the whole time between two observations. Redis counts for how many
// seconds its link has been down, and starts at 0 again if it had a link in the meantime.
func (m detached) continuesAs(next detached) bool {
	if m.since.IsZero() || next.last.Sub(m.last) > MaxObservationGap {
		return false
	}
	return m.run == next.run && m.linkDownFor <= next.linkDownFor
}
