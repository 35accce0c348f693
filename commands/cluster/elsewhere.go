package cluster

import (
	"slices"

	"resec/handlers"
)

// MastersElsewhere returns the ids of the entries, other than me, that a live agent without a member key registered. Such an
// agent contends under another lock. The entries are those of the master service. A recorded member's entry may be what is left
// of it.
func MastersElsewhere(entries []handlers.Entry, v View, me string) (ids []string) {
	for _, e := range entries {
		id := e.ID()
		_, keyed := v.LiveAgents[id]
		_, recorded := v.State.Members[id]
		former := slices.Contains(v.State.FormerMembers, id)
		if id == "" || id == me || keyed || recorded || former || e.AgentStatus() == handlers.CheckCritical {
			continue
		}
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}
