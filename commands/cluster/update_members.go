package cluster

import (
	"maps"
	"slices"

	"resec/handlers/redis"
)

// MemberObservation is what the master's agent observed of one member.
type MemberObservation struct {
	ID string
	MemberKey
	InCatalog   bool          // the catalogue lists it
	Replicating bool          // its Redis replicates from the master, with or without an agent
	Status      *redis.Status // nil: its Redis did not answer
}

// UpdateMembers returns the state with the members updated from what the master's agent observed. The argument mark is the
// master's position read before the observations. A replica that has reached it is in sync. The rules for each member:
//
//   - The master itself is always recorded.
//   - A member that has neither a live agent nor an entry in the catalogue has deregistered. It becomes a former member, unless
//     its Redis still replicates, because then the guard counts it.
//   - A Redis that does not answer, or that is not the instance which the member's agent reports, changes nothing. Nor does the
//     master's own Redis under another id: a second agent manages it.
//   - A new member is recorded before it attaches, unless its data are unrelated.
//   - A restarted member is recorded in its new run once it has attached again.
//   - A member that is in sync has caught up and may lead. It may fall behind later.
//
// The master's replication ID at mark joins the histories: Redis begins a new one with its first replica, and after a long
// time without any. A state without a master is returned unchanged.
func (s State) UpdateMembers(seen []MemberObservation, mark redis.Position) State {
	if s.Master == nil {
		return s
	}
	s.Members = cloneMembers(s.Members)
	for _, o := range seen {
		if o.ID == s.Master.ID {
			continue
		}
		if s.deregistered(o) {
			delete(s.Members, o.ID)
			s.FormerMembers = append(slices.Clone(s.FormerMembers), o.ID)
		} else if s.updates(o) {
			s.Members[o.ID] = s.updatedRecord(o, mark)
			if s.inSync(o, mark) {
				s = s.withoutForce(o.ID)
			}
		}
	}
	if _, recorded := s.Members[s.Master.ID]; !recorded { // the state was changed by hand
		s.Members[s.Master.ID] = s.masterRecord()
	}
	if mark.ReplID != "" && !slices.Contains(s.Histories, mark.ReplID) {
		s.Histories = appendHistory(s.Histories, mark.ReplID)
	}
	s.FormerMembers = s.withoutReturned()
	return s
}

// cloneMembers returns a copy that may be changed; it is never nil.
func cloneMembers(members map[string]MemberRecord) map[string]MemberRecord {
	out := make(map[string]MemberRecord, len(members)+1)
	maps.Copy(out, members)
	return out
}

// deregistered reports whether a recorded member has left: no agent, no catalogue entry, no replication.
func (s State) deregistered(o MemberObservation) bool {
	_, recorded := s.Members[o.ID]
	return recorded && o.Session == "" && !o.InCatalog && !o.Replicating
}

// updates reports whether an observation changes the member's record.
func (s State) updates(o MemberObservation) bool {
	r, recorded := s.Members[o.ID]
	if recorded && o.Session == "" && o.Replicating {
		return false
	}
	if o.Status == nil || o.Status.RunID != o.RunID || o.RunID == s.Master.RunID {
		return false
	}
	if s.attached(*o.Status) {
		return true
	}
	if recorded {
		return r.RunID == o.RunID
	}
	return s.RefuseFollowReason(o.ID, *o.Status) == ""
}

// updatedRecord returns the member's record after an observation with a status.
func (s State) updatedRecord(o MemberObservation, mark redis.Position) MemberRecord {
	before, recorded := s.Members[o.ID]
	now := MemberRecord{RunID: o.RunID, Address: o.Address, CatchingUp: true, UnknownFields: before.UnknownFields}
	if recorded && before.RunID == o.RunID {
		now.CatchingUp, now.InSyncTerm = before.CatchingUp, before.InSyncTerm
	}
	if s.inSync(o, mark) {
		now.CatchingUp, now.InSyncTerm = false, s.Master.Term
	}
	now.CatchingUp = now.CatchingUp || o.lostData(*o.Status)
	return now
}

// attached reports whether a Redis is configured as a replica of the master.
func (s State) attached(st redis.Status) bool { return !st.Master && st.MasterAddr == s.Master.Address }

// inSync reports whether a Redis streams from the master, has reached the mark, and executed what it received.
func (s State) inSync(o MemberObservation, mark redis.Position) bool {
	st := *o.Status
	if !s.attached(st) || !st.Streaming() || o.StreamErrors.observe(st).Count > 0 {
		return false
	}
	return st.Position.ReplID == mark.ReplID && st.Position.Offset >= mark.Offset
}

// withoutReturned returns the former members that are no members now, the latest maxFormerMembers of them.
func (s State) withoutReturned() []string {
	former := slices.DeleteFunc(slices.Clone(s.FormerMembers), func(id string) bool {
		_, returned := s.Members[id]
		return returned
	})
	return former[max(0, len(former)-maxFormerMembers):]
}
