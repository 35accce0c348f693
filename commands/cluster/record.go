package cluster

import (
	"fmt"
	"maps"
	"slices"

	"resec/handlers/redis"
)

// MemberRecord is a member of the cluster. It may be elected in its recorded run alone: what a restart left of its data is
// known only once it has caught up with the master again.
type MemberRecord struct {
	RunID      string `json:"run_id"`
	Address    string `json:"address"`           // host:port
	CatchingUp bool   `json:"joining,omitempty"` // it has not caught up with the master yet in this run
	InSyncTerm uint64 `json:"level,omitempty"`   // the last term in which it was seen level with the master
}

// maxFormerMembers bounds how many of those that left are known.
const maxFormerMembers = 64

// SharesNoHistory tells whether a member's data were never this cluster's: its id is not recorded, nor was it before it left, and
// no lineage of its history is in the chain. Before the first master nobody is foreign.
func (s State) SharesNoHistory(id string, p redis.Position) bool {
	at, _ := s.historyIndex(p)
	_, recorded := s.Members[id]
	return s.Master != nil && !recorded && !slices.Contains(s.FormerMembers, id) && at < 0
}

// RefuseFollowReason says why a member with these data may not follow; nothing where it may.
func (s State) RefuseFollowReason(id string, st redis.Status) string {
	if st.Keys == 0 || s.ForcedToFollow(id) || !s.SharesNoHistory(id, s.ResolvePosition(st)) {
		return ""
	}
	return fmt.Sprintf("refused: its %d keys were never this cluster's, and following would wipe them; "+
		"`resec failover -to ID -force` overrides", st.Keys)
}

// NotRecordedReason says why the record keeps a member from being elected in a run; nothing where it does not.
func (s State) NotRecordedReason(id, run string) string {
	switch r, recorded := s.Members[id]; {
	case !recorded:
		return "it is not recorded: no master of this cluster has seen it"
	case r.RunID != run:
		return "it was restarted since it was recorded"
	case r.CatchingUp:
		return "it has not caught up with the master"
	}
	return ""
}

// Eligibility is whom the record lets lead.
type Eligibility int

// The bindings.
const (
	RecordedOnly Eligibility = iota // who has caught up, in its recorded run
	AnyMember                       // every member: all answer, and none that had caught up is in its recorded run
	ColdStart                       // who was level with the last master, and has data: no recorded run has answered for long enough (a cold start)
)

// Eligibility tells whom the record lets lead, by who answers. It binds nobody where nobody is recorded. It binds while one of
// the members is loading: what it holds will be known soon.
func (s State) Eligibility(answers []Candidate, quiet bool) Eligibility {
	answered, runs := 0, 0
	for _, c := range answers {
		r, recorded := s.Members[c.ID]
		if !recorded {
			continue
		}
		if answered++; c.Loading {
			return RecordedOnly
		}
		if r.RunID != c.RunID {
			continue
		}
		if runs++; !r.CatchingUp {
			return RecordedOnly
		}
	}
	switch {
	case answered == len(s.Members):
		return AnyMember
	case quiet && runs == 0:
		return ColdStart
	}
	return RecordedOnly
}

// coldStartReason is Bar after a cold start in which not all members answer. Who is not there may hold what this one lost with
// its disk, or never had: it would be wiped when it comes back.
func (s State) coldStartReason(id string, st redis.Status) string {
	switch r := s.Members[id]; {
	case st.Keys == 0:
		return "it is empty, and members that do not answer may not be; `resec failover -to ID -force` overrides"
	case s.Master != nil && id != s.Master.ID && (r.CatchingUp || r.InSyncTerm != s.Master.Term):
		return "it was not level with the last master, and that does not answer; `resec failover -to ID -force` overrides"
	}
	return ""
}

// WithMasterRecorded is the state with its master recorded.
func (s State) WithMasterRecorded() State {
	record := map[string]MemberRecord{}
	maps.Copy(record, s.Members)
	record[s.Master.ID] = s.masterRecord()
	s.Members = record
	return s
}

// masterRecord is the master as the record has it.
func (s State) masterRecord() MemberRecord {
	return MemberRecord{RunID: s.Master.RunID, Address: s.Master.Address, InSyncTerm: s.Master.Term}
}

// MemberObservation is what the master's agent knows of a member.
type MemberObservation struct {
	ID string
	MemberKey
	InCatalog   bool          // in the catalogue
	Replicating bool          // it replicates from the master, with or without an agent
	Status      *redis.Status // nil: it did not answer
}

// UpdateMembers is the state with the record as it should be, by what the master saw after it stood at the mark itself. A
// newcomer is recorded before it attaches; a member that was restarted, once it has attached again. Who is neither
// listed nor present has deregistered, or was: it leaves, and is known as one that was here, for its file tells no
// lineage if it is an AOF. While it replicates on it stays, for the guard counts it. The master's own lineage is that of the mark: Redis begins a new one with its first replica, and
// when it has had none for long.
func (s State) UpdateMembers(seen []MemberObservation, mark redis.Position) State {
	out := maps.Clone(s.Members)
	if out == nil {
		out = map[string]MemberRecord{}
	}
	for _, m := range seen {
		r, recorded := s.Members[m.ID]
		st := m.Status
		switch {
		case s.Master == nil || m.ID == s.Master.ID:
			continue
		case recorded && m.Replicating && m.Session == "":
			continue
		case recorded && !m.InCatalog && m.Session == "":
			delete(out, m.ID)
			s.FormerMembers = append(slices.Clone(s.FormerMembers), m.ID)
			continue
		case st == nil || st.RunID != m.RunID: // not the Redis that its agent speaks of
			continue
		}
		attached := !st.Master && st.MasterAddr == s.Master.Address
		caughtUp := attached && st.Streaming() && st.Position.ReplID == mark.ReplID && st.Position.Offset >= mark.Offset
		now := MemberRecord{RunID: st.RunID, Address: m.Address, CatchingUp: !caughtUp}
		switch {
		case !recorded && !attached && s.RefuseFollowReason(m.ID, *st) != "", recorded && r.RunID != st.RunID && !attached:
			continue
		case recorded && r.RunID == st.RunID:
			now.CatchingUp, now.InSyncTerm = r.CatchingUp && !caughtUp, r.InSyncTerm
		}
		if caughtUp {
			now.InSyncTerm = s.Master.Term
			s = s.consumeForce(m.ID)
		}
		out[m.ID] = now
	}
	if _, recorded := out[s.masterID()]; s.Master != nil && !recorded { // somebody has changed the state by hand
		out[s.Master.ID] = s.masterRecord()
	}
	s.Members = out
	if s.Master != nil && mark.ReplID != "" && !slices.Contains(s.Histories, mark.ReplID) {
		s.Histories = appendHistory(s.Histories, mark.ReplID)
	}
	s.FormerMembers = slices.DeleteFunc(slices.Clone(s.FormerMembers), func(id string) bool { _, back := out[id]; return back })
	s.FormerMembers = s.FormerMembers[max(0, len(s.FormerMembers)-maxFormerMembers):]
	return s
}

// masterID is the master's id.
func (s State) masterID() string {
	if s.Master == nil {
		return ""
	}
	return s.Master.ID
}

// consumeForce is the state in which an operator's force for a member, which follows now, is used up.
func (s State) consumeForce(id string) State {
	if s.ForcedToFollow(id) {
		m := *s.Master
		m.ForceFollow = slices.DeleteFunc(slices.Clone(m.ForceFollow), func(o string) bool { return o == id })
		s.Master = &m
	}
	return s
}
