package cluster

import "time"

// RestartWindow is how long a restart of a member's Redis counts.
const RestartWindow = 10 * time.Minute

// ManyRestarts is how many restarts within RestartWindow make a member unsteady. A rolling update needs one or two.
const ManyRestarts = 3

// Restarts is how often a member's Redis was restarted, without a RestartWindow between two restarts.
type Restarts struct {
	Count int   `json:"restarts,omitempty"`
	Last  int64 `json:"restarted_at,omitempty"` // Unix time of the last one, by the clock of the member's host
}

// Observe returns the restarts after a look at our Redis. The argument was is the run that was seen before; empty: this agent has
// just started, and continues what its predecessor persisted.
func (r Restarts) Observe(was, run string, persisted MemberKey, now time.Time) Restarts {
	if was == "" {
		r, was = persisted.Restarts, persisted.RunID
	}
	if was == "" || was == run {
		return r
	}
	return Restarts{Count: r.Recent(now) + 1, Last: now.Unix()}
}

// Recent returns the restarts that still count.
func (r Restarts) Recent(now time.Time) int {
	if now.Sub(time.Unix(r.Last, 0)) > RestartWindow {
		return 0
	}
	return r.Count
}
