package report

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"resec/commands/catalog"
	"resec/commands/cluster"
	"resec/commands/known"
	"resec/handlers/redis"
)

// StateAttrs returns all that is known to the agent with that id, as the arguments of a log line. service is the name of the
// master service, and shown is the entry that the agent wants in the catalogue.
func StateAttrs(k known.Snapshot, id, service string, shown catalog.Entry, now time.Time) []any {
	st, v := k.Health.Status, k.View
	role, session, holder, master := "replica", "none", "none", "none"
	if st.Master {
		role = "master"
	}
	if k.SessionID != "" {
		session = k.SessionID
	}
	if !v.Free() {
		holder = v.Holder
	}
	if m := v.State.Master; m != nil {
		master = m.ID
	}
	_, why := cluster.Decide(k.Snapshot, id, service)
	set := cluster.MinReplicas{Replicas: st.MinReplicas, MaxLag: st.MaxLag}
	return []any{
		"redis_answers", k.Probed && k.Health.Err == nil, "redis_error", redis.Summary(k.Health.Err), "run_id", st.RunID,
		"role", role, "follows", st.MasterAddr, "link_up", st.LinkUp, "syncing", st.Syncing, "replid", st.Position.ReplID,
		"offset", st.Position.Offset, "replicas", len(st.Replicas), "fenced", st.Fenced(), "guard_set", guardText(set),
		"guard_published", guardText(v.State.Guard()), "guard_operators", guardText(k.Operator.MinReplicas),
		"session", session, "lease_left", k.LeaseLeft(now).Round(time.Millisecond), "lock_holder", holder,
		"published", master, "term", v.State.Term(), "members", formatMembers(v.State.Members), "registered", k.Registered,
		"registered_as", shown.Role, "check", shown.Status, "output", shown.Output,
		"reason", k.Reason, "hidden", k.Hidden.By, "refuses", st.Refusing(), "next", why, "consul_index", v.Index,
	}
}

func guardText(s cluster.MinReplicas) string {
	if s.Replicas == cluster.GuardOff {
		return "off"
	}
	return fmt.Sprintf("%d within %ds", s.Replicas, s.MaxLag)
}

// formatMembers is each member with its recorded instance, and whether it is catching up.
func formatMembers(members map[string]cluster.MemberRecord) string {
	var out []string
	for _, id := range slices.Sorted(maps.Keys(members)) {
		text := id + "=" + members[id].RunID
		if members[id].CatchingUp {
			text += " (catching up)"
		}
		out = append(out, text)
	}
	return strings.Join(out, ", ")
}
