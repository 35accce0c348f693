package cluster

import (
	"slices"
	"time"
)

const (
	// usualRestarts is how many restarts of one member within restartWindow are recorded at once: an operator makes no more.
	usualRestarts = 3
	restartWindow = time.Minute
	// SteadyAfter is how long the run of a member that was restarted more often must last before it is recorded.
	SteadyAfter = 10 * time.Second
)

// RestartTracker is how often the members' Redis servers were restarted lately, as the master's agent sees it. A Redis that dies
// after each start is recorded in each of its runs otherwise, which is two writes of the state a restart.
type RestartTracker map[string]memberRuns

// memberRuns are the restarts of one member.
type memberRuns struct {
	run   string
	since time.Time   // when that run was seen first
	at    []time.Time // when runs were seen first, within restartWindow
}

// Observe takes in the runs that the members' agents report at now.
func (r RestartTracker) Observe(v View, now time.Time) {
	for id, key := range v.LiveAgents {
		m := r[id]
		if key.RunID == "" || key.RunID == m.run {
			continue
		}
		if m.run != "" {
			m.at = append(m.at, now)
		}
		m.run, m.since = key.RunID, now
		m.at = slices.DeleteFunc(m.at, func(t time.Time) bool { return now.Sub(t) > restartWindow })
		r[id] = m
	}
}

// Steady returns those of the members that may be recorded as they are, how long the next of the others has to last, and the
// others. A member whose agent is dead may always be recorded.
func (r RestartTracker) Steady(v View, ids []string, now time.Time) (steady []string, wait time.Duration, unsteady []string) {
	for _, id := range ids {
		m := r[id]
		left := SteadyAfter - now.Sub(m.since)
		if len(m.at) <= usualRestarts || left <= 0 || v.LiveAgents[id].Session == "" {
			steady = append(steady, id)
			continue
		}
		unsteady = append(unsteady, id)
		if wait == 0 || left < wait {
			wait = left
		}
	}
	return steady, wait, unsteady
}
