package agent

import "time"

// vacancy is what an agent remembers of the time since nobody else held the lock.
type vacancy struct {
	term   uint64    // of the master that is missed
	since  time.Time // zero: somebody does
	silent time.Time // since when every look found no recorded run; zero: the last one did
}

// next is the vacancy as a view shows it. It goes on while we hold the lock ourselves: we may fail. Another term is another
// vacancy, also where that reign was over before we looked.
func (v vacancy) next(k known, now time.Time) vacancy {
	term := k.view.State.Term()
	switch {
	case k.view.Index == 0:
		return v
	case !k.view.Free() && (k.session == nil || k.view.Session != k.session.ID):
		return vacancy{term: term}
	case v.since.IsZero() || v.term != term:
		return vacancy{term: term, since: now}
	}
	return v
}

// looked is the vacancy after a look at all members, of whom some were in their recorded runs, or none.
func (v vacancy) looked(some bool, now time.Time) vacancy {
	switch {
	case some:
		v.silent = time.Time{}
	case v.silent.IsZero():
		v.silent = now
	}
	return v
}

// quiet is for how long no look has found a recorded run.
func (v vacancy) quiet(now time.Time) time.Duration {
	if v.silent.IsZero() {
		return 0
	}
	return now.Sub(v.silent)
}
