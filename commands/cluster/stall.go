package cluster

import (
	"time"

	"resec/handlers/redis"
)

// StallCheckInterval is how often this process looks whether it runs.
const StallCheckInterval = 200 * time.Millisecond

// StallLimit is for how long it may not have run without a consequence.
//
// Redis closes at MaxLag + 2.1 s after the cut, and after a hang later by as long as it hung, and by a second, for it counts
// its own rounds. A challenger opens at the end of the session, which is 1.5 intervals after the cut at the soonest, plus
// MaxLag + 2.5 s. So what hung for less than 1.5 intervals - 0.6 s closes before. And never more than half of the lag. An early
// one (silent: what takes it to call the master silent; 0: there is none) opens so long after the cut, plus MaxLag + 2.5 s +
// hangs: what hung for less than silent + hangs - 0.6 s closes before.
func StallLimit(maxLag, interval, silent time.Duration) time.Duration {
	limit := min(maxLag/2, interval*3/2-700*time.Millisecond)
	if silent > 0 {
		limit = min(limit, max(silent-700*time.Millisecond, 800*time.Millisecond))
	}
	return max(5*StallCheckInterval/2, limit)
}

// StallAllowance is how much longer than for its guard a challenger waits that has looked on since it called the master silent, so that a
// master closes before that hung for less than its limit.
func StallAllowance(maxLag, interval, silent time.Duration) time.Duration {
	if silent == 0 {
		return 0
	}
	return max(0, StallLimit(maxLag, interval, silent)+700*time.Millisecond-silent)
}

// AckedSince is a status with those replicas alone that have acknowledged after a time; Redis counts whole seconds.
func AckedSince(st redis.Status, then time.Time) redis.Status {
	var out []redis.Replica
	for _, r := range st.Replicas {
		if time.Since(then) > time.Duration(r.Lag+1)*time.Second {
			out = append(out, r)
		}
	}
	st.Replicas = out
	return st
}
