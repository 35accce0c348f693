package cluster

import "resec/handlers/redis"

// Candidate is a member whose Redis answered while the lock was free. A member that did not answer is no candidate.
type Candidate struct {
	ID         string
	AgentAlive bool // its agent is alive, as far as Consul knows
	InCatalog  bool // the catalogue lists it

	WrongAddress bool // its announced address leads another member to another Redis
	redis.Status
}

// Incumbent reports whether the candidate is the published master and accepts writes. If no master is published, because
// Consul may have lost its data, a writable master with replicas is the incumbent.
func (c Candidate) Incumbent(s State) bool {
	if !c.Master || c.Fenced() {
		return false
	}
	if s.Master == nil {
		return len(c.Replicas) > 0
	}
	return c.ID == s.Master.ID && c.RunID == s.Master.RunID
}

// UnusableReason returns why the candidate may not lead whatever data it holds, empty if it may.
func (c Candidate) UnusableReason() string {
	switch {
	case c.Loading:
		return "it is loading its data"
	case c.Syncing:
		return "it is in a full sync"
	case c.Priority == 0:
		return "its replica-priority is 0"
	}
	return ""
}

// IneligibleReason returns why the candidate may not lead, empty if it may.
//
//   - An unusable candidate may never lead. The incumbent may, if it is usable.
//   - Data that were never this cluster's never lead: the members would lose theirs when they follow.
//   - Otherwise the eligibility decides. It allows any member, or the members that are in sync in their recorded run. After a
//     cold start it allows the last master and its replicas that have data.
func (c Candidate) IneligibleReason(s State, e Eligibility) string {
	if why := c.UnusableReason(); why != "" {
		return why
	}
	if c.Incumbent(s) {
		return ""
	}
	if s.SharesNoHistory(c.ID, s.ResolvePosition(c.Status)) {
		if c.Keys > 0 {
			return "its data were never this cluster's"
		}
		return s.NotRecordedReason(c.ID, c.RunID)
	}
	switch e {
	case AnyMember:
		return ""
	case ColdStart:
		return s.coldStartReason(c.ID, c.Status)
	}
	return s.NotRecordedReason(c.ID, c.RunID)
}
