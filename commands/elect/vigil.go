package elect

import (
	"errors"
	"sync"
	"time"

	"resec/handlers/redis"
)

// Vigil is since when members are known not to follow a silent master. By our own clock alone: another's may jump.
type Vigil struct {
	mu   sync.Mutex
	away map[string]away
}

// away is one member that follows nobody. The zero value: it may follow.
type away struct {
	since, last time.Time // of the looks at it
	run         string    // empty: nothing of the member answers
	down        int
}

// blink is the longest time without a look: a round of them takes up to three bounds of sealFor and a pause. An agent parks its
// Redis again no sooner than its master was silent for HEALTHCHECK_TIMEOUT, and Redis counts anew from there.
const blink = 1500 * time.Millisecond

// NewVigil is one in which nobody was looked at yet.
func NewVigil() *Vigil { return &Vigil{away: map[string]away{}} }

// Note takes in what a member's Redis said at a look, or why it said nothing.
func (v *Vigil) Note(id string, st redis.Status, err error, at time.Time) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.away[id] = v.away[id].next(st, err, at)
}

// Known is how many of the members have not followed for at least that long.
func (v *Vigil) Known(now time.Time, long time.Duration, ids ...string) (n int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, id := range ids {
		if a := v.away[id]; !a.since.IsZero() && now.Sub(a.last) <= blink && now.Sub(a.since) >= long {
			n++
		}
	}
	return n
}

// next is what is known of a member after one more look. Redis counts for how long its link is down, and begins anew when it had
// one meanwhile.
func (a away) next(st redis.Status, err error, at time.Time) away {
	is := away{since: at, last: at, run: st.RunID, down: st.Down}
	switch {
	case Gone(err):
		is.run, is.down = "", 0
	case err != nil, !st.Parked() && !st.Master:
		return away{}
	}
	if !a.since.IsZero() && at.Sub(a.last) <= blink && a.run == is.run && a.down <= is.down {
		is.since = a.since
	}
	return is
}

// ErrStranger is said of an address at which another Redis answers than the member's.
var ErrStranger = errors.New("another redis answers at its address")

// Gone tells whether a look found that nothing of the member is there.
func Gone(err error) bool { return redis.Refused(err) || errors.Is(err, ErrStranger) }
