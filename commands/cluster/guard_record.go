package cluster

import (
	"maps"
	"slices"
)

// GuardRecord is what the state keeps of the min-replicas settings of one member. A setting that resec made may come back in
// another run of Redis: CONFIG REWRITE writes it into the configuration file. This record distinguishes it from an operator's
// own.
type GuardRecord struct {
	Own MinReplicas   `json:"own"`           // the operator's own setting
	Set []MinReplicas `json:"set,omitempty"` // what resec has set, the latest last
}

// maxGuardsSet bounds GuardRecord.Set.
const maxGuardsSet = 16

// GuardUnrecorded reports whether a setting that resec is about to make on a member is not recorded yet. It is recorded before it
// is set.
func (s State) GuardUnrecorded(id string, own, set MinReplicas) bool {
	if set.Replicas < 0 || set == own || set == own.Effective() { // it is the operator's
		return false
	}
	r := s.Guards[id]
	return r.Own != own || !slices.Contains(r.Set, set)
}

// WithGuardRecorded returns the state in which that setting of a member is recorded as made by resec, in place of the operator's
// own.
func (s State) WithGuardRecorded(id string, own, set MinReplicas) State {
	if !s.GuardUnrecorded(id, own, set) {
		return s
	}
	r := GuardRecord{Own: own, Set: slices.Clone(s.Guards[id].Set)}
	if !slices.Contains(r.Set, set) {
		r.Set = append(r.Set, set)
	}
	r.Set = r.Set[max(0, len(r.Set)-maxGuardsSet):]
	s.Guards = maps.Clone(s.Guards)
	if s.Guards == nil {
		s.Guards = map[string]GuardRecord{}
	}
	maps.DeleteFunc(s.Guards, func(id string, _ GuardRecord) bool {
		_, recorded := s.Members[id]
		return !recorded && !slices.Contains(s.FormerMembers, id)
	})
	s.Guards[id] = r
	return s
}

// operatorGuard returns the operator's own setting of a member whose Redis has that setting in a run of which nothing is known. A
// setting that resec has made on it is not the operator's. One that resec has made on another member is not either: configuration
// files are copied.
func (s State) operatorGuard(id string, is MinReplicas) MinReplicas {
	own, recorded := s.Guards[id]
	if slices.Contains(own.Set, is) {
		return own.Own
	}
	for _, other := range slices.Sorted(maps.Keys(s.Guards)) {
		r := s.Guards[other]
		if !slices.Contains(r.Set, is) {
			continue
		}
		if recorded {
			return own.Own
		}
		return r.Own
	}
	return is
}
