package lock

import (
	"cmp"
	"slices"

	"resec/handlers/redis"
)

// Candidate is a member's Redis as it answered when the lock was free. One that did not answer is no candidate.
type Candidate struct {
	ID     string
	Tended bool // its agent lives, as far as Consul knows
	Listed bool // in the catalogue
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

// Unusable says why the candidate may not lead whatever it holds; nothing when it may.
func (c Candidate) Unusable() string {
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

// Unfit says why the candidate may not lead; nothing when it may. A record that binds nobody bars no member, whatever
// became of its run; a stranger it bars all the same, for the members would be wiped when they come back to follow it.
func (c Candidate) Unfit(s State, b Binding) string {
	foreign := s.Foreign(c.ID, s.Continued(c.Status))
	switch why := c.Unusable(); {
	case why != "":
		return why
	case c.Incumbent(s), b == Void && !foreign:
		return ""
	case foreign && c.Keys > 0:
		return "its data were never this cluster's"
	case b == Quiet && !foreign:
		return s.barQuietly(c.ID, c.Status)
	}
	return s.Bar(c.ID, c.RunID)
}

// Rank orders those who may lead, the best first: the incumbent, data before no data, the newest lineage of the chain
// (one that is not in it comes last), the published master, the offset, the priority, the id.
//
// Offsets compare only within one lineage, so lineages are ranked first, and then who shares one. Where lineages say
// nothing (an AOF begins a new one with each restart), the published master's is the best, then the one with the most keys.
func Rank(cs []Candidate, s State, b Binding) []Candidate {
	out := slices.DeleteFunc(slices.Clone(cs), func(c Candidate) bool { return c.Unfit(s, b) != "" })
	leads, keys := map[string]bool{}, map[string]int64{} // by lineage
	for _, c := range out {
		_, l := s.base(s.Continued(c.Status))
		leads[l] = leads[l] || s.Master != nil && c.ID == s.Master.ID && c.Keys > 0
		keys[l] = max(keys[l], c.Keys)
	}
	slices.SortStableFunc(out, func(a, b Candidate) int {
		ageA, inA := s.base(s.Continued(a.Status))
		ageB, inB := s.base(s.Continued(b.Status))
		return cmp.Or(
			first(a.Incumbent(s), b.Incumbent(s)),
			first(a.Keys > 0, b.Keys > 0),
			cmp.Compare(ageB, ageA),
			first(leads[inA], leads[inB]),
			cmp.Compare(keys[inB], keys[inA]),
			cmp.Compare(inA, inB),
			cmp.Compare(within(s.Continued(b.Status), inB), within(s.Continued(a.Status), inA)),
			first(s.Master != nil && a.ID == s.Master.ID, s.Master != nil && b.ID == s.Master.ID),
			cmp.Compare(a.Priority, b.Priority),
			cmp.Compare(a.ID, b.ID),
		)
	})
	return out
}

// Freshest is who of the others has what our Redis lacks, as far as their histories tell, and the most of it.
func Freshest(own Candidate, others []Candidate, s State, b Binding) (Candidate, bool) {
	ranked := Rank(append([]Candidate{own}, others...), s, b)
	if len(ranked) == 0 || ranked[0].ID == own.ID || level(ranked[0], own, s) {
		return Candidate{}, false
	}
	return ranked[0], true
}

// within is the offset up to which data at p belong to a lineage: what a Redis has written since it left that is nobody else's.
func within(p redis.Position, lineage string) int64 {
	if lineage == p.Lineage2 && lineage != p.Lineage && p.Branch > 0 {
		return min(p.Offset, p.Branch-1)
	}
	return p.Offset
}

// level tells whether two hold the same, so that only priority or id rank them.
func level(a, b Candidate, s State) bool {
	_, inA := s.base(s.Continued(a.Status))
	_, inB := s.base(s.Continued(b.Status))
	return inA == inB && within(s.Continued(a.Status), inA) == within(s.Continued(b.Status), inB) && (a.Keys > 0) == (b.Keys > 0)
}

func first(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return -1
	}
	return 1
}
