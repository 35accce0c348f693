package cluster

import "time"

// Leaderless is what an agent remembers of the time since nobody else held the lock.
type Leaderless struct {
	Term               uint64    // of the master that is missed
	Since              time.Time // zero: somebody does
	NoRecordedRunSince time.Time // since when every look found no recorded run; zero: the last one did
}

// Advance is the vacancy as a view shows it. It goes on while we hold the lock ourselves: we may fail. Another term is another
// vacancy, also where that reign was over before we looked.
func (v Leaderless) Advance(k Snapshot, now time.Time) Leaderless {
	term := k.View.State.Term()
	switch {
	case k.View.Index == 0:
		return v
	case !k.View.Free() && (!k.HoldsLock()):
		return Leaderless{Term: term}
	case v.Since.IsZero() || v.Term != term:
		return Leaderless{Term: term, Since: now}
	}
	return v
}

// Observe is the vacancy after a look at all members, of whom some were in their recorded runs, or none.
func (v Leaderless) Observe(some bool, now time.Time) Leaderless {
	switch {
	case some:
		v.NoRecordedRunSince = time.Time{}
	case v.NoRecordedRunSince.IsZero():
		v.NoRecordedRunSince = now
	}
	return v
}

// QuietFor is for how long no look has found a recorded run.
func (v Leaderless) QuietFor(now time.Time) time.Duration {
	if v.NoRecordedRunSince.IsZero() {
		return 0
	}
	return now.Sub(v.NoRecordedRunSince)
}
