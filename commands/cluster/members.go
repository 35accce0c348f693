package cluster

import (
	"maps"
	"slices"

	"resec/handlers"
)

// MemberKey is what a member's agent writes under its own id beside the lock, with its session: it is gone when that is.
type MemberKey struct {
	Session       string      `json:"-"` // of its agent; empty: that is dead
	RunID         string      `json:"run_id"`
	Address       string      `json:"address"` // host:port
	OperatorGuard MinReplicas `json:"own"`     // the operator's, as this run of Redis had it before we changed anything
}

// Member is where a member of the cluster is to be found, and how its check is.
type Member struct {
	ID, Address   string
	Check, Output string // passing, warning or critical; Unregistered
	Term          uint64 // under which it is registered
	Why           string // its agent says that this keeps it from following or leading
}

// NotInCatalog stands for the check of a member that the catalogue does not list.
const NotInCatalog = "none"

// AgentAlive tells whether the member's agent lives, as far as Consul knows. One that died leaves a critical check, and one
// that left says so; a member that has vanished from the catalogue is one whose Consul agent left, or lost its data.
func (m Member) AgentAlive() bool { return m.Check != handlers.CheckCritical }

// InCatalog tells whether the catalogue has the member.
func (m Member) InCatalog() bool { return m.Check != NotInCatalog }

// Members are all that are known of, each once: the instances that the catalogue lists, then who is present, recorded
// or published without being listed.
func Members(entries []handlers.Entry, v View) []Member {
	var out []Member
	add := func(m Member) {
		i := slices.IndexFunc(out, func(o Member) bool { return o.ID == m.ID })
		switch {
		case i < 0:
			out = append(out, m)
		case !out[i].AgentAlive() && m.AgentAlive() && m.InCatalog(): // it has moved, and what is left of it is critical
			out[i] = m
		}
	}
	for _, e := range entries {
		m := Member{ID: e.ID(), Address: e.Addr(), Check: e.Status(), Term: e.Term(), Why: e.Why()}
		if m.ID == "" {
			m.ID = e.Node.Node + "/" + e.Service.ID
		}
		for _, c := range e.Checks {
			if c.Status == m.Check {
				m.Output = c.Output
			}
		}
		add(m)
	}
	for _, id := range slices.Sorted(maps.Keys(v.LiveAgents)) {
		if p := v.LiveAgents[id]; p.Session != "" {
			add(Member{ID: id, Address: p.Address, Check: NotInCatalog})
		}
	}
	for _, id := range slices.Sorted(maps.Keys(v.State.Members)) {
		add(Member{ID: id, Address: v.State.Members[id].Address, Check: NotInCatalog})
	}
	if m := v.State.Master; m != nil {
		add(Member{ID: m.ID, Address: m.Address, Check: NotInCatalog, Term: m.Term})
	}
	return out
}
