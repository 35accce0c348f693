package cluster

import (
	"cmp"
	"slices"

	"resec/handlers/redis"
)

// Candidate is a member's Redis as it answered when the lock was free. One that did not answer is no candidate.
type Candidate struct {
	ID         string
	AgentAlive bool // its agent lives, as far as Consul knows
	InCatalog  bool // in the catalogue
	redis.Status
}

// Incumbent tells whether the candidate is the published master, and accepts writes. Where none is published, for Consul
// may have lost its data, it is one that others replicate from.
func (c Candidate) Incumbent(s State) bool {
	if s.Master == nil {
		return c.Master && !c.Fenced() && len(c.Replicas) > 0
	}
	return c.ID == s.Master.ID && c.RunID == s.Master.RunID && c.Master && !c.Fenced()
}

// UnusableReason says why the candidate may not lead whatever it holds; nothing when it may.
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

// IneligibleReason says why the candidate may not lead; nothing when it may. A record that binds nobody bars no member, whatever
// became of its run; a stranger it bars all the same, for the members would be wiped when they come back to follow it.
func (c Candidate) IneligibleReason(s State, b Eligibility) string {
	foreign := s.SharesNoHistory(c.ID, s.ResolvePosition(c.Status))
	switch why := c.UnusableReason(); {
	case why != "":
		return why
	case c.Incumbent(s), b == AnyMember && !foreign:
		return ""
	case foreign && c.Keys > 0:
		return "its data were never this cluster's"
	case b == ColdStart && !foreign:
		return s.coldStartReason(c.ID, c.Status)
	}
	return s.NotRecordedReason(c.ID, c.RunID)
}

// Rank orders those who may lead, the best first: the incumbent, data before no data, the newest lineage of the chain
// (one that is not in it comes last), the published master, the offset, the priority, the id.
//
// Offsets compare only within one lineage, so lineages are ranked first, and then who shares one. Where lineages say
// nothing (an AOF begins a new one with each restart), the published master's is the best, then the one with the most keys.
func Rank(cs []Candidate, s State, b Eligibility) []Candidate {
	out := slices.DeleteFunc(slices.Clone(cs), func(c Candidate) bool { return c.IneligibleReason(s, b) != "" })
	leads, keys := map[string]bool{}, map[string]int64{} // by lineage
	for _, c := range out {
		_, l := s.historyIndex(s.ResolvePosition(c.Status))
		leads[l] = leads[l] || s.Master != nil && c.ID == s.Master.ID && c.Keys > 0
		keys[l] = max(keys[l], c.Keys)
	}
	slices.SortStableFunc(out, func(a, b Candidate) int {
		ageA, inA := s.historyIndex(s.ResolvePosition(a.Status))
		ageB, inB := s.historyIndex(s.ResolvePosition(b.Status))
		return cmp.Or(
			trueFirst(a.Incumbent(s), b.Incumbent(s)),
			trueFirst(a.Keys > 0, b.Keys > 0),
			cmp.Compare(ageB, ageA),
			trueFirst(leads[inA], leads[inB]),
			cmp.Compare(keys[inB], keys[inA]),
			cmp.Compare(inA, inB),
			cmp.Compare(comparableOffset(s.ResolvePosition(b.Status), inB), comparableOffset(s.ResolvePosition(a.Status), inA)),
			trueFirst(s.Master != nil && a.ID == s.Master.ID, s.Master != nil && b.ID == s.Master.ID),
			cmp.Compare(a.Priority, b.Priority),
			cmp.Compare(a.ID, b.ID),
		)
	})
	return out
}

// Freshest is who of the others has what our Redis lacks, as far as their histories tell, and the most of it.
func Freshest(own Candidate, others []Candidate, s State, b Eligibility) (Candidate, bool) {
	ranked := Rank(append([]Candidate{own}, others...), s, b)
	if len(ranked) == 0 || ranked[0].ID == own.ID || sameData(ranked[0], own, s) {
		return Candidate{}, false
	}
	return ranked[0], true
}

// comparableOffset is the offset up to which data at p belong to a lineage: what a Redis has written since it left that is nobody else's.
func comparableOffset(p redis.Position, lineage string) int64 {
	if lineage == p.ReplID2 && lineage != p.ReplID && p.ReplID2EndOffset > 0 {
		return min(p.Offset, p.ReplID2EndOffset-1)
	}
	return p.Offset
}

// sameData tells whether two hold the same, so that only priority or id rank them.
func sameData(a, b Candidate, s State) bool {
	_, inA := s.historyIndex(s.ResolvePosition(a.Status))
	_, inB := s.historyIndex(s.ResolvePosition(b.Status))
	return inA == inB && comparableOffset(s.ResolvePosition(a.Status), inA) == comparableOffset(s.ResolvePosition(b.Status), inB) && (a.Keys > 0) == (b.Keys > 0)
}

func trueFirst(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return -1
	}
	return 1
}
