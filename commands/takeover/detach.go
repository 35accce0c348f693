package takeover

import (
	"errors"
	"sync"
	"time"

	"resec/handlers/redis"
)

// DetachTracker is since when members are known not to follow a silent master. By our own clock alone: another's may jump.
type DetachTracker struct {
	mu       sync.Mutex
	detached map[string]detached
}

// detached is one member that follows nobody. The zero value: it may follow.
type detached struct {
	since, last time.Time // of the looks at it
	run         string    // empty: nothing of the member answers
	linkDownFor int
}

// maxObservationGap is the longest time without a look: a round of them takes up to three bounds of sealFor and a pause. An agent parks its
// Redis again no sooner than its master was silent for HEALTHCHECK_TIMEOUT, and Redis counts anew from there.
const maxObservationGap = 1500 * time.Millisecond

// NewDetachTracker is one in which nobody was looked at yet.
func NewDetachTracker() *DetachTracker { return &DetachTracker{detached: map[string]detached{}} }

// Observe takes in what a member's Redis said at a look, or why it said nothing.
func (v *DetachTracker) Observe(id string, st redis.Status, err error, at time.Time) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.detached[id] = v.detached[id].observe(st, err, at)
}

// CountDetached is how many of the members have not followed for at least that long.
func (v *DetachTracker) CountDetached(now time.Time, long time.Duration, ids ...string) (n int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, id := range ids {
		if a := v.detached[id]; !a.since.IsZero() && now.Sub(a.last) <= maxObservationGap && now.Sub(a.since) >= long {
			n++
		}
	}
	return n
}

// observe is what is known of a member after one more look. Redis counts for how long its link is down, and begins anew when it had
// one meanwhile.
func (a detached) observe(st redis.Status, err error, at time.Time) detached {
	is := detached{since: at, last: at, run: st.RunID, linkDownFor: st.LinkDownFor}
	switch {
	case Down(err):
		is.run, is.linkDownFor = "", 0
	case err != nil, !st.Parked() && !st.Master:
		return detached{}
	}
	if !a.since.IsZero() && at.Sub(a.last) <= maxObservationGap && a.run == is.run && a.linkDownFor <= is.linkDownFor {
		is.since = a.since
	}
	return is
}

// ErrOtherInstance is said of an address at which another Redis answers than the member's.
var ErrOtherInstance = errors.New("another redis answers at its address")

// Down tells whether a look found that nothing of the member is there.
func Down(err error) bool { return redis.Refused(err) || errors.Is(err, ErrOtherInstance) }
