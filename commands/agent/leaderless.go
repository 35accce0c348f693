package agent

import "time"

// leaderless is what an agent remembers of the time since nobody else held the lock.
type leaderless struct {
	term               uint64    // of the master that is missed
	since              time.Time // zero: somebody does
	noRecordedRunSince time.Time // since when every look found no recorded run; zero: the last one did
}

// advance is the vacancy as a view shows it. It goes on while we hold the lock ourselves: we may fail. Another term is another
// vacancy, also where that reign was over before we looked.
func (v leaderless) advance(k snapshot, now time.Time) leaderless {
	term := k.view.State.Term()
	switch {
	case k.view.Index == 0:
		return v
	case !k.view.Free() && (k.session == nil || k.view.Session != k.session.ID):
		return leaderless{term: term}
	case v.since.IsZero() || v.term != term:
		return leaderless{term: term, since: now}
	}
	return v
}

// observe is the vacancy after a look at all members, of whom some were in their recorded runs, or none.
func (v leaderless) observe(some bool, now time.Time) leaderless {
	switch {
	case some:
		v.noRecordedRunSince = time.Time{}
	case v.noRecordedRunSince.IsZero():
		v.noRecordedRunSince = now
	}
	return v
}

// quietFor is for how long no look has found a recorded run.
func (v leaderless) quietFor(now time.Time) time.Duration {
	if v.noRecordedRunSince.IsZero() {
		return 0
	}
	return now.Sub(v.noRecordedRunSince)
}
