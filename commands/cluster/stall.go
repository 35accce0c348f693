package cluster

import (
	"time"

	"resec/handlers/redis"
)

// StallCheckInterval is how often the process checks whether it stalled.
const StallCheckInterval = 200 * time.Millisecond

const (
	// stallMargin is the time by which a master that stalled for StallLimit has closed before a challenger can open. Without a
	// stall a master closes 2.1 s after MaxLag and a challenger waits 2.5 s after it; a stall adds up to 1 s of rounding.
	stallMargin = 700 * time.Millisecond
	// minEarlyStallLimit is the lowest limit that an early takeover imposes.
	minEarlyStallLimit = 800 * time.Millisecond
	// minStallLimit is the shortest stall that checks every StallCheckInterval detect reliably.
	minStallLimit = 5 * StallCheckInterval / 2
)

// DetectionTime returns how long it takes to call a master unreachable; 0 if nothing is done about that early.
func DetectionTime(p redis.Probe, earlyTakeover bool) time.Duration {
	if !earlyTakeover {
		return 0
	}
	return time.Duration(p.Failures) * p.Timeout
}

// StallLimit returns how long the process of a master may stall without a consequence. The argument detection is how long it
// takes to call a master unreachable. It is 0 if there is no early takeover.
//
// Redis closes MaxLag + 2.1 s after it was cut off. A stall delays that by its own length and by one second, because Redis
// counts its own rounds. Another master opens no earlier than:
//
//   - at the end of the session, 1.5 intervals after the cut, plus MaxLag + 2.5 s: a stall shorter than 1.5 intervals − 0.6 s
//     is safe;
//   - with an early takeover, detection after the cut, plus MaxLag + 2.5 s + StallAllowance: a stall shorter than detection +
//     allowance − 0.6 s is safe.
//
// The limit is never more than half of the lag.
func StallLimit(maxLag, interval, detection time.Duration) time.Duration {
	limit := min(maxLag/2, interval*3/2-stallMargin)
	if detection > 0 {
		limit = min(limit, max(detection-stallMargin, minEarlyStallLimit))
	}
	return max(minStallLimit, limit)
}

// StallAllowance returns what a challenger adds to its wait for the guard of a master that it called unreachable. A master that
// stalled for less than its limit closes within that.
func StallAllowance(maxLag, interval, detection time.Duration) time.Duration {
	if detection == 0 {
		return 0
	}
	return max(0, StallLimit(maxLag, interval, detection)+stallMargin-detection)
}

// AckedSince returns a status with only those replicas that certainly acknowledged after a time; Redis counts whole seconds.
func AckedSince(st redis.Status, since, now time.Time) redis.Status {
	var acked []redis.Replica
	for _, r := range st.Replicas {
		if now.Sub(since) > time.Duration(r.Lag+1)*time.Second {
			acked = append(acked, r)
		}
	}
	st.Replicas = acked
	return st
}
