package cluster

import (
	"cmp"
	"slices"

	"resec/handlers/redis"
)

// Candidate is a member whose Redis answered while the lock was free. A member that did not answer is no candidate.
type Candidate struct {
	ID         string
	AgentAlive bool   // its agent is alive, as far as Consul knows
	InCatalog  bool   // the catalogue lists it
	Refused    string // the commands that its agent lacks to make it master, as that agent reports; empty: none
	Hidden     string // whose check, not its agent's, keeps clients from finding it; empty: none does

	WrongAddress bool // its announced address leads another member to another Redis
	redis.Status
	StreamErrors int64 // of its Redis: see View.StreamErrors
	LostData     bool  // a full sync that it could not read has deleted its data: see View.LostData
}

// Incumbent reports whether the candidate is the published master and accepts writes. If no master is published, because
// Consul may have lost its data, a writable master with replicas is the incumbent.
func (c Candidate) Incumbent(s State) bool {
	if !c.Master || c.Fenced() {
		return false
	}
	if s.Master == nil {
		return slices.ContainsFunc(c.Replicas, func(r redis.Replica) bool { return !r.NoServer() })
	}
	return c.ID == s.Master.ID && c.RunID == s.Master.RunID
}

// UnusableReason returns why the candidate may not be promoted whatever data it holds, empty if it may.
func (c Candidate) UnusableReason() string {
	switch {
	case c.Loading:
		return "it is loading its data"
	case c.Syncing:
		return "it is in a full sync"
	case c.NeverPromoted():
		return "its replica-priority is 0"
	}
	return ""
}

// NeverPromoted reports whether the operator does not want the candidate to be promoted.
func (c Candidate) NeverPromoted() bool { return c.Priority == 0 }

// KeepsData reports whether the candidate is in sync in its recorded run and cannot lead, because it may not be promoted or its
// agent is dead. Whoever leads needs what it holds.
func (c Candidate) KeepsData(s State) bool {
	cannotLead := c.NeverPromoted() || c.Refused != "" || !c.AgentAlive
	return cannotLead && !c.LostData && s.NotRecordedReason(c.ID, c.RunID) == "" && !c.Incumbent(s)
}

// UnservedReason returns why clients could not write to the candidate as the master, empty if they could. It may lead all the
// same: its data count more.
func (c Candidate) UnservedReason() string {
	if why := c.Refusing(); why != "" {
		return "it would refuse writes: " + why
	}
	if c.Hidden != "" {
		return "clients could not find it: " + c.Hidden
	}
	return ""
}

// Drawback returns why a candidate with the same data is preferred as master, empty if nothing speaks against this one.
func (c Candidate) Drawback() string { return cmp.Or(c.UnservedReason(), c.Status.Drawback()) }

// IneligibleReason returns why the candidate may not lead, empty if it may.
//
//   - An unusable candidate may never lead. The incumbent may, unless it is loading or syncing: a priority ends no term.
//   - One whose Redis refuses its agent a command that a promotion needs cannot be made master.
//   - Data that were never this cluster's never lead: the members would lose theirs when they follow.
//   - Data that are not the master's, although the offset is, lead only if any member may. So does a Redis that has lost its
//     data.
//   - Otherwise the eligibility decides. It allows any member, or the members that are in sync in their recorded run. After a
//     cold start it allows the last master and its replicas that have data.
func (c Candidate) IneligibleReason(s State, e Eligibility) string {
	if c.Incumbent(s) && !c.Loading && !c.Syncing {
		return ""
	}
	if why := c.UnusableReason(); why != "" {
		return why
	}
	if c.Refused != "" {
		return "it cannot be made master: " + c.Refused
	}
	if s.SharesNoHistory(c.ID, s.ResolvePosition(c.Status)) {
		if c.Keys > 0 {
			return "its data were never this cluster's"
		}
		return s.NotRecordedReason(c.ID, c.RunID)
	}
	if e == AnyMember {
		return ""
	}
	if why := cmp.Or(c.lostDataReason(), StreamErrorsReason(c.StreamErrors)); why != "" {
		return why + "; `resec failover -to ID -force` overrides"
	}
	if e == ColdStart {
		return s.coldStartReason(c.ID, c.Status)
	}
	return s.NotRecordedReason(c.ID, c.RunID)
}

// lostDataReason says that the candidate's Redis has lost its data; empty if it has not.
func (c Candidate) lostDataReason() string {
	if !c.LostData {
		return ""
	}
	return "redis is empty since it could not read a full sync"
}
