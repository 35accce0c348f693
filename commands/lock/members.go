package lock

import (
	"slices"

	"github.com/hashicorp/consul/api"

	"resec/handlers"
)

// Member is where a member of the cluster is to be found, and how its check is.
type Member struct {
	ID, Address   string
	Check, Output string // passing, warning or critical; Unregistered
	Term          uint64 // under which it is registered
}

// Unregistered stands for the check of a member that the catalogue does not list.
const Unregistered = "none"

// Tended tells whether the member's agent lives, as far as Consul knows.
func (m Member) Tended() bool { return m.Check != api.HealthCritical && m.Check != Unregistered }

// Members are the instances that the catalogue lists, each once, and the published master where it lists it not.
func Members(entries []handlers.Entry, s State) []Member {
	var out []Member
	for _, e := range entries {
		m := Member{ID: e.ID(), Address: e.Addr(), Check: e.Status(), Term: e.Term()}
		if m.ID == "" {
			m.ID = e.Node.Node + "/" + e.Service.ID
		}
		for _, c := range e.Checks {
			if c.Status == m.Check {
				m.Output = c.Output
			}
		}
		if !slices.ContainsFunc(out, func(o Member) bool { return o.ID == m.ID && o.Address == m.Address }) {
			out = append(out, m)
		}
	}
	if m := s.Master; m != nil && !slices.ContainsFunc(out, func(o Member) bool { return o.ID == m.ID }) {
		out = append(out, Member{ID: m.ID, Address: m.Address, Check: Unregistered, Term: m.Term})
	}
	return out
}
