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
	"resec/commands/lock"
	"resec/handlers/redis"
)

// answer logs the agent's state each time that it is asked for.
func (a *Agent) answer(over <-chan struct{}) {
	for {
		select {
		case <-over:
			return
		case <-a.Ask:
		}
		r := slog.NewRecord(time.Now(), slog.LevelInfo, "state", 0)
		r.Add("id", a.Me.ID, "redis", a.Creds.Addr)
		r.Add(state(a.board.Get(), a.Me.ID, a.Registrar.Naming.Name(catalog.Master), a.shown.Get(), time.Now())...)
		r.Add("hooks_failed", strings.Join(a.hooks.Failures(), "; "))
		if err := a.Log.Handler().Handle(context.Background(), r); err != nil { // whatever the level is: somebody wants it now
			a.Log.Error("the state could not be logged", "err", err)
		}
	}
}

// state is all that is known, as the arguments of a log line.
func state(k known, id, service string, shown catalog.Entry, now time.Time) []any {
	st, v := k.health.Status, k.view
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
	_, why := next(k, id, service)
	return []any{
		"redis_answers", k.seen && k.health.Err == nil, "redis_error", redis.Why(k.health.Err), "run_id", st.RunID, "role", role,
		"follows", st.Of, "link_up", st.LinkUp, "syncing", st.Syncing, "lineage", st.Position.Lineage, "offset", st.Position.Offset,
		"replicas", len(st.Replicas), "fenced", st.Fenced(), "guard_set", guardText(lock.Setting{Replicas: st.MinReplicas, MaxLag: st.MaxLag}),
		"guard_published", guardText(v.State.Guard()), "guard_operators", guardText(k.found.Setting),
		"session", session, "lease_left", left, "lock_holder", holder, "published", master, "term", v.State.Term(),
		"record", recordText(v.State.Record), "registered", k.registered, "registered_as", shown.Role, "check", shown.Status, "output", shown.Output,
		"refusal", k.refusal, "next", why, "consul_index", v.Index,
	}
}

func guardText(s lock.Setting) string {
	if s.Replicas == lock.GuardOff {
		return "off"
	}
	return fmt.Sprintf("%d within %ds", s.Replicas, s.MaxLag)
}

// recordText is each member with its recorded run, and whether it has caught up.
func recordText(record map[string]lock.Recorded) string {
	var out []string
	for _, id := range slices.Sorted(maps.Keys(record)) {
		text := id + "=" + record[id].RunID
		if record[id].Joining {
			text += " (joining)"
		}
		out = append(out, text)
	}
	return strings.Join(out, ", ")
}
