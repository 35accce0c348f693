package lock

import (
	"cmp"
	"slices"

	"resec/handlers/redis"
)

// Candidate is a member's Redis as it answered when the lock was free. One that did not answer is no candidate.
type Candidate struct {
	ID     string
	Tended bool // its agent lives: its check is not critical
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

// eligible tells whether the candidate may lead at all.
func (c Candidate) eligible() bool { return !c.Loading && !c.Syncing && c.Priority != 0 }

// Rank orders those who may lead, the best first: the incumbent, data before no data, the newest lineage of the chain
// (one that is not in it comes last), the published master, the offset, the priority, the id. Offsets are compared
// only within one lineage.
func Rank(cs []Candidate, s State) []Candidate {
	out := slices.DeleteFunc(slices.Clone(cs), func(c Candidate) bool { return !c.eligible() })
	slices.SortStableFunc(out, func(a, b Candidate) int {
		return cmp.Or(
			first(a.Incumbent(s), b.Incumbent(s)),
			first(a.Keys > 0, b.Keys > 0),
			cmp.Compare(age(b, s.Chain), age(a, s.Chain)),
			first(published(a, s), published(b, s)),
			cmp.Compare(a.Position.Lineage, b.Position.Lineage), // offsets of two lineages do not compare
			cmp.Compare(b.Position.Offset, a.Position.Offset),
			cmp.Compare(a.Priority, b.Priority),
			cmp.Compare(a.ID, b.ID),
		)
	})
	return out
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

// age is where in the chain the candidate's history ends, -1 where it is not in it.
func age(c Candidate, chain []string) int {
	return max(slices.Index(chain, c.Position.Lineage), slices.Index(chain, c.Position.Lineage2))
}

func published(c Candidate, s State) bool {
	return s.Master != nil && c.ID == s.Master.ID && c.RunID == s.Master.RunID && c.Keys > 0
}
