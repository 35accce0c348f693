package cluster

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// PendingMembers returns the ids of the members whose record may have to change, sorted. They are the members with a live agent
// that are not recorded as they are, the recorded members without an agent, and me if it is not recorded, or not where it is now.
func PendingMembers(v View, me Master) (ids []string) {
	for id, key := range v.LiveAgents {
		if id != me.ID && key.Session != "" && !v.State.recordsAsIs(id, key) {
			ids = append(ids, id)
		}
	}
	for id := range v.State.Members {
		if id != me.ID && v.LiveAgents[id].Session == "" {
			ids = append(ids, id)
		}
	}
	if _, recorded := v.State.Members[me.ID]; !recorded || v.State.masterMoved(me) {
		ids = append(ids, me.ID)
	}
	slices.Sort(ids)
	return ids
}

// recordsAsIs reports whether a member is recorded in its present run and address, and in sync in the present term.
func (s State) recordsAsIs(id string, key MemberKey) bool {
	r, recorded := s.Members[id]
	inSync := recorded && !r.CatchingUp && r.InSyncTerm == s.Term()
	return inSync && r.RunID == key.RunID && r.Address == key.Address
}

// MembersFingerprint returns a string that changes when a view shows something new of the members.
func MembersFingerprint(v View, ids []string) string {
	var out strings.Builder
	for _, id := range ids {
		fmt.Fprintln(&out, id, v.LiveAgents[id], v.State.Members[id])
	}
	return out.String()
}

// UnlistedHistory returns the replication ID of our Redis if that is the published master and its ID is not in the histories;
// otherwise empty.
func UnlistedHistory(k Snapshot) string {
	st, m := k.Health.Status, k.View.State.Master
	if m == nil || !st.Master || st.RunID != m.RunID || slices.Contains(k.View.State.Histories, st.Position.ReplID) {
		return ""
	}
	return st.Position.ReplID
}

// FormatMembers returns the recorded members in one line for logs.
func FormatMembers(members map[string]MemberRecord) string {
	var out []string
	for _, id := range slices.Sorted(maps.Keys(members)) {
		text := fmt.Sprintf("%s %.8s", id, members[id].RunID)
		if members[id].CatchingUp {
			text += " (catching up)"
		}
		out = append(out, text)
	}
	return strings.Join(out, ", ")
}
