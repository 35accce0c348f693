package cluster

import (
	"maps"
	"slices"
	"time"

	"resec/handlers/redis"
)

// ConfirmDownDelay is the time from when the monitor finds the master down until the members are surveyed, and between two
// surveys that both find it down. The master's own agent, if alive, needs some ten milliseconds to release the lock.
const ConfirmDownDelay = 300 * time.Millisecond

// FailureEvidence is what one agent has found out about a published master that is down or unreachable. The zero value knows
// nothing and observes nothing.
type FailureEvidence struct {
	Detached *DetachTracker // of the other members

	lockIndex uint64
	runID     string
	downSince time.Time // since then each survey found it down; zero: the last one did not
	lastProbe time.Time // of those surveys
}

// NewFailureEvidence begins with what the monitor has found out about the published master.
func NewFailureEvidence(k Snapshot) FailureEvidence {
	return FailureEvidence{Detached: NewDetachTracker(), lockIndex: k.View.LockIndex, runID: k.View.State.Master.RunID,
		downSince: k.Failure.DownSince, lastProbe: k.Failure.DownSince}
}

// Concerns reports whether the evidence is about the published master and the present holder of the lock.
func (e *FailureEvidence) Concerns(v View) bool {
	return e.runID == v.State.Master.RunID && e.lockIndex == v.LockIndex
}

// Observe takes what a member's Redis answered to a probe at that time.
func (e *FailureEvidence) Observe(id string, st redis.Status, err error, at time.Time, master *Master) {
	if e.Detached == nil || master == nil {
		return
	}
	if id != master.ID {
		e.Detached.Observe(id, st, err, at)
		return
	}
	if at.Sub(e.lastProbe) > 4*ConfirmDownDelay { // an earlier probe is no first one to this
		e.downSince = time.Time{}
	}
	e.lastProbe = at
	answers := err == nil && st.RunID == e.runID
	if answers || err != nil && !Down(err) {
		e.downSince = time.Time{}
		return
	}
	e.downSince = earliest(e.downSince, at)
}

// UntilProven returns how long to wait before the next survey. It returns 0 if it is proven that the master accepts no writes.
// The argument guardCloses is the time after which its guard is closed; again is the pause between two surveys of an unreachable
// master.
func (e *FailureEvidence) UntilProven(s State, guardCloses, again time.Duration, now time.Time) time.Duration {
	if !e.downSince.IsZero() {
		return max(0, ConfirmDownDelay-now.Sub(e.downSince))
	}
	need := s.DetachQuorum()
	others := slices.DeleteFunc(slices.Collect(maps.Keys(s.Members)), s.isMaster)
	if need > 0 && e.Detached.CountDetached(now, guardCloses, others...) >= need {
		return 0
	}
	return again
}

// LivingRank returns how many members with a live agent rank before the member; negative: it may not lead.
func LivingRank(cs []Candidate, v View, id string) int {
	dead := func(c Candidate) bool { return c.ID != id && v.LiveAgents[c.ID].Session == "" }
	ranked := slices.DeleteFunc(Rank(cs, v.State, RecordedOnly), dead)
	return slices.IndexFunc(ranked, func(c Candidate) bool { return c.ID == id })
}
