package cluster

import "time"

// Leaderless is how long no other agent has held the lock, and how long no recorded run has answered meanwhile.
type Leaderless struct {
	Term               uint64    // of the last published master
	Since              time.Time // zero: another agent holds the lock
	NoRecordedRunSince time.Time // since when each survey found no recorded run; zero: the last one found one
}

// Advance returns the leaderless period after a view. It continues while this agent holds the lock, because it may fail to
// lead. Another term begins a new period, even if that term was over before this agent saw it.
func (l Leaderless) Advance(k Snapshot, now time.Time) Leaderless {
	if !k.Fresh {
		return l
	}
	term := k.View.State.Term()
	if !k.View.Free() && !k.HoldsLock() {
		return Leaderless{Term: term}
	}
	if l.Since.IsZero() || l.Term != term {
		return Leaderless{Term: term, Since: now}
	}
	return l
}

// Observe returns the leaderless period after a survey of all members that found a recorded run, or none.
func (l Leaderless) Observe(foundRecordedRun bool, now time.Time) Leaderless {
	if foundRecordedRun {
		l.NoRecordedRunSince = time.Time{}
	} else if l.NoRecordedRunSince.IsZero() {
		l.NoRecordedRunSince = now
	}
	return l
}

// QuietFor returns how long no survey has found a recorded run; 0 if the last one found one.
func (l Leaderless) QuietFor(now time.Time) time.Duration {
	if l.NoRecordedRunSince.IsZero() {
		return 0
	}
	return now.Sub(l.NoRecordedRunSince)
}
