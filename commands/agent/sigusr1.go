package agent

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"resec/commands/catalog"
	"resec/commands/cluster"
	"resec/handlers/redis"
)

// dumpOnSignal logs the agent's state each time that it is asked for.
func (a *Agent) dumpOnSignal(over <-chan struct{}) {
	for {
		select {
		case <-over:
			return
		case <-a.DumpState:
		}
		r := slog.NewRecord(time.Now(), slog.LevelInfo, "state", 0)
		r.Add("id", a.Me.ID, "redis", a.Creds.Addr)
		r.Add(stateAttrs(a.known.Load(), a.Me.ID, a.Registrar.Naming.Name(catalog.Master), a.advertised.Load(), time.Now())...)
		r.Add("hooks_failed", strings.Join(a.hooks.Failures(), "; "))
		if err := a.Log.Handler().Handle(context.Background(), r); err != nil { // whatever the level is: somebody wants it now
			a.Log.Error("the state could not be logged", "err", err)
		}
	}
}

// stateAttrs is all that is known, as the arguments of a log line.
func stateAttrs(k snapshot, id, service string, shown catalog.Entry, now time.Time) []any {
	st, v := k.Health.Status, k.View
	role := "replica"
	if st.Master {
		role = "master"
	}
	session, left := "none", time.Duration(0)
	if k.session != nil {
		session, left = k.session.ID, k.session.Lease.Left(now).Round(time.Millisecond)
	}
	holder, master := "nobody", "nobody"
	if !v.Free() {
		holder = v.Holder
	}
	if m := v.State.Master; m != nil {
		master = m.ID
	}
	_, why := cluster.Decide(k.Snapshot, id, service)
	return []any{
		"redis_answers", k.Probed && k.Health.Err == nil, "redis_error", redis.Summary(k.Health.Err), "run_id", st.RunID, "role", role,
		"follows", st.MasterAddr, "link_up", st.LinkUp, "syncing", st.Syncing, "lineage", st.Position.ReplID, "offset", st.Position.Offset,
		"replicas", len(st.Replicas), "fenced", st.Fenced(), "guard_set", guardText(cluster.MinReplicas{Replicas: st.MinReplicas, MaxLag: st.MaxLag}),
		"guard_published", guardText(v.State.Guard()), "guard_operators", guardText(k.Operator.MinReplicas),
		"session", session, "lease_left", left, "lock_holder", holder, "published", master, "term", v.State.Term(),
		"record", formatMembers(v.State.Members), "registered", k.Registered, "registered_as", shown.Role, "check", shown.Status, "output", shown.Output,
		"refusal", k.Reason, "next", why, "consul_index", v.Index,
	}
}

func guardText(s cluster.MinReplicas) string {
	if s.Replicas == cluster.GuardOff {
		return "off"
	}
	return fmt.Sprintf("%d within %ds", s.Replicas, s.MaxLag)
}

// formatMembers is each member with its recorded run, and whether it has caught up.
func formatMembers(record map[string]cluster.MemberRecord) string {
	var out []string
	for _, id := range slices.Sorted(maps.Keys(record)) {
		text := id + "=" + record[id].RunID
		if record[id].CatchingUp {
			text += " (joining)"
		}
		out = append(out, text)
	}
	return strings.Join(out, ", ")
}
