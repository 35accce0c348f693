package cluster

import (
	"fmt"
	"slices"

	"resec/handlers/redis"
)

// MemberRecord is what the state keeps of one member. A member may be elected only in its recorded run. After a restart it is
// unknown what is left of its data, until it has caught up with the master again.
type MemberRecord struct {
	RunID      string `json:"run_id"`
	Address    string `json:"address"`           // host:port
	CatchingUp bool   `json:"joining,omitempty"` // it has not been in sync with a master in this run
	InSyncTerm uint64 `json:"level,omitempty"`   // last term in which it was seen in sync; 0: none

	UnknownFields UnknownFields `json:"-"`
}

// maxFormerMembers bounds State.FormerMembers.
const maxFormerMembers = 64

// SharesNoHistory reports whether a member's data were never this cluster's: its id is neither a member nor a former member,
// and none of its replication IDs is in the histories. Before the first master it is always false.
func (s State) SharesNoHistory(id string, p redis.Position) bool {
	if s.Master == nil || slices.Contains(s.FormerMembers, id) {
		return false
	}
	_, recorded := s.Members[id]
	index, _ := s.historyIndex(p)
	return !recorded && index < 0
}

// RefuseFollowReason returns why a member with this Redis may not follow the master, empty if it may. A Redis that is empty
// or forced by an operator may always follow.
func (s State) RefuseFollowReason(id string, st redis.Status) string {
	if st.Keys == 0 || s.ForcedToFollow(id) || !s.SharesNoHistory(id, s.ResolvePosition(st)) {
		return ""
	}
	return fmt.Sprintf("refused: its %d keys were never this cluster's, and following would wipe them; "+
		"`resec failover -to ID -force` overrides", st.Keys)
}

// NotRecordedReason returns why a member's run may not be elected, empty if it may: it must be recorded and in sync.
func (s State) NotRecordedReason(id, run string) string {
	r, recorded := s.Members[id]
	switch {
	case !recorded:
		return "it is not recorded: no master of this cluster has seen it"
	case r.RunID != run:
		return "it was restarted since it was recorded"
	case r.CatchingUp:
		return "it has not caught up with the master"
	}
	return ""
}

// coldStartReason returns why a member may not lead after a cold start in which some members do not answer, empty if it may.
// A missing member may hold data that this one lost or never had, and would lose them when it returns as a replica.
func (s State) coldStartReason(id string, st redis.Status) string {
	if st.Keys == 0 {
		return "it is empty, and members that do not answer may have data; `resec failover -to ID -force` overrides"
	}
	if s.Master == nil || id == s.Master.ID {
		return ""
	}
	if r := s.Members[id]; r.CatchingUp || r.InSyncTerm != s.Master.Term {
		return "it was not in sync with the last master, which does not answer; `resec failover -to ID -force` overrides"
	}
	return ""
}

// WithMasterRecorded returns the state with its master as a member that is in sync. The state must have a master.
func (s State) WithMasterRecorded() State {
	s.Members = cloneMembers(s.Members)
	s.Members[s.Master.ID] = s.masterRecord()
	return s
}

// masterRecord returns the master as a member that is in sync.
func (s State) masterRecord() MemberRecord {
	return MemberRecord{RunID: s.Master.RunID, Address: s.Master.Address, InSyncTerm: s.Master.Term,
		UnknownFields: s.Members[s.Master.ID].UnknownFields}
}
