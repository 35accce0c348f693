package cluster

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// MembersFingerprint is what a view says of members, in one string to compare.
func MembersFingerprint(v View, ids []string) string {
	var out strings.Builder
	for _, id := range ids {
		fmt.Fprintln(&out, id, v.LiveAgents[id], v.State.Members[id])
	}
	return out.String()
}

// PendingMembers are the members whose place in the record may have to change: who is present and not recorded as it is, and
// who is recorded and gone.
func PendingMembers(v View, me string) (ids []string) {
	for id, p := range v.LiveAgents {
		r, recorded := v.State.Members[id]
		if id != me && p.Session != "" && (!recorded || r.CatchingUp || r.InSyncTerm != v.State.Term() || r.RunID != p.RunID || r.Address != p.Address) {
			ids = append(ids, id)
		}
	}
	for id := range v.State.Members {
		if id != me && v.LiveAgents[id].Session == "" {
			ids = append(ids, id)
		}
	}
	if _, recorded := v.State.Members[me]; !recorded {
		ids = append(ids, me)
	}
	slices.Sort(ids)
	return ids
}

// UnlistedHistory is our Redis's lineage, where the chain lacks it.
func UnlistedHistory(k Snapshot) string {
	st, m := k.Health.Status, k.View.State.Master
	if l := st.Position.ReplID; st.Master && m != nil && st.RunID == m.RunID && !slices.Contains(k.View.State.Histories, l) {
		return l
	}
	return ""
}

// FormatMembers is a record in one line.
func FormatMembers(record map[string]MemberRecord) string {
	var out []string
	for _, id := range slices.Sorted(maps.Keys(record)) {
		joining := ""
		if record[id].CatchingUp {
			joining = " (joining)"
		}
		out = append(out, fmt.Sprintf("%s %.8s%s", id, record[id].RunID, joining))
	}
	return strings.Join(out, ", ")
}
