package cluster

import (
	"cmp"
	"maps"
	"slices"

	"resec/handlers"
)

// MemberKey is the JSON that a member's agent keeps in Consul under the member's id, locked by its session.
type MemberKey struct {
	Session       string      `json:"-"` // of the agent; empty: the session has ended
	RunID         string      `json:"run_id"`
	Address       string      `json:"address"`           // host:port
	OperatorGuard MinReplicas `json:"own"`               // the operator's own setting, as this run had it before resec changed it
	Refused       string      `json:"refused,omitempty"` // which commands its Redis refuses that it needs to lead; empty: none
	Hidden        string      `json:"hidden,omitempty"`  // whose check keeps clients from finding it; empty: none does
	StartedAs     StartRole   `json:"started_as,omitempty"`
	Restarts

	StreamErrors StreamErrors `json:"stream_errors,omitzero"`
	FailedSync   string       `json:"failed_sync,omitempty"` // run_id of the master whose full sync this run could not read

	Place          string     `json:"place,omitempty"`           // node and id of its service instance, with a slash between
	Since          int64      `json:"since,omitempty"`           // when the agent began to manage this Redis, in ms; 0: unknown
	WrongAddresses AddressSet `json:"wrong_addresses,omitempty"` // members at whose address it reached another one's Redis
}

// Member is the address of a member and the state of its health check.
type Member struct {
	ID, Address   string
	Check, Output string // passing, warning or critical; NotInCatalog
	Term          uint64 // under which it is registered; 0: none
	Why           string // what keeps it from following or leading, or a wrong address, as its agent reports; empty: nothing
	Waits         bool   // its agent waits until it may be the member; the entry is critical meanwhile
	Also          string // address of another live entry with its id: another process calls itself this member; empty: none
	Refused       string // which commands its Redis refuses that it needs to lead, as its agent reports; empty: none
	Unnamed       bool   // our Redis replicates from it, and nothing else names it: see FollowsUnnamed
	NodeAddress   string // the node's address with its port if it is registered with another host; otherwise empty
	Hidden        string // whose check, not its agent's, keeps clients from finding it; empty: none does
	AgentCheck    string // what Check is without what others check; empty: Check
	Restarts      Restarts
}

// NotInCatalog is the check of a member that the catalogue does not list.
const NotInCatalog = "none"

// AgentAlive reports whether the member's agent is alive, as far as Consul knows: an agent that died leaves a critical check.
// A member that is missing from the catalogue counts as alive, because its Consul agent may have left or lost its data.
func (m Member) AgentAlive() bool { return cmp.Or(m.AgentCheck, m.Check) != handlers.CheckCritical }

// InCatalog reports whether the catalogue lists the member.
func (m Member) InCatalog() bool { return m.Check != NotInCatalog }

// Members returns all known members, each once. The service instances in the catalogue come first. Then come the members that
// have a live agent, that the state records, or that it publishes as master. Of two instances with one id the one counts that has
// the member key, otherwise the published one, otherwise a live one.
func Members(entries []handlers.Entry, v View) []Member {
	var out []Member
	for _, e := range entries {
		out = addMember(out, v, memberOf(e))
	}
	for _, id := range slices.Sorted(maps.Keys(v.LiveAgents)) {
		if key := v.LiveAgents[id]; key.Session != "" {
			out = addMember(out, v, Member{ID: id, Address: key.Address, Check: NotInCatalog, Hidden: key.Hidden})
		}
	}
	for _, id := range slices.Sorted(maps.Keys(v.State.Members)) {
		out = addMember(out, v, Member{ID: id, Address: v.State.Members[id].Address, Check: NotInCatalog})
	}
	if m := v.State.Master; m != nil {
		out = addMember(out, v, Member{ID: m.ID, Address: m.Address, Check: NotInCatalog, Term: m.Term})
	}
	for i, m := range out {
		out[i].Refused, out[i].Restarts = v.LiveAgents[m.ID].Refused, v.LiveAgents[m.ID].Restarts
	}
	return out
}

// addMember adds a member, unless one of its id counts more.
func addMember(list []Member, v View, m Member) []Member {
	i := slices.IndexFunc(list, func(o Member) bool { return o.ID == m.ID })
	if i < 0 {
		return append(list, m)
	}
	if !m.InCatalog() {
		return list
	}
	other := m
	if m.claim(v) > list[i].claim(v) {
		other, list[i] = list[i], m
	}
	if other.Address != list[i].Address && (other.AgentAlive() || other.Waits) && other.InCatalog() {
		list[i].Also = other.Address
	}
	return list
}

// claim is how much speaks for an instance in the catalogue, among those with its id: the member key, then the state, then its
// check. A critical entry is often what is left at a member's former place.
func (m Member) claim(v View) int {
	if key := v.LiveAgents[m.ID]; key.Session != "" && key.Address == m.Address {
		return 3
	}
	if p := v.State.Master; p != nil && p.ID == m.ID && p.Address == m.Address {
		return 2
	}
	if m.AgentAlive() && m.InCatalog() {
		return 1
	}
	return 0
}

// memberOf returns the member of a service instance. An instance that resec did not register is named by its node and service.
func memberOf(e handlers.Entry) Member {
	m := Member{ID: e.ID(), Address: e.Addr(), Check: e.Status(), Term: e.Term(), Why: e.Why(), Waits: e.Waits(),
		NodeAddress: e.NodeAddr()}
	if m.ID == "" {
		m.ID = e.Node.Node + "/" + e.Service.ID
	}
	for _, c := range e.Checks {
		if c.Status == m.Check {
			m.Output = c.Output
		}
	}
	if m.Hidden = e.HiddenBy(); m.Hidden != "" {
		m.AgentCheck = e.AgentStatus()
	}
	return m
}
