package cluster

import (
	"slices"

	"resec/handlers"
	"resec/handlers/redis"
)

// Place is where a member is now. An agent reads it again and again: the node of its Consul agent may get another address.
type Place struct {
	Node    string // of Consul
	Address string // host:port at which the other members reach its Redis

	// KeptHost is the host of Address while the node has another address at which our Redis does not answer; otherwise empty.
	KeptHost string
}

// Announced returns this member as it is published now: me is what it was when the agent started.
func (k Snapshot) Announced(me Master) Master {
	if k.Place.Address != "" {
		me.Node, me.Address = k.Place.Node, k.Place.Address
	}
	return me
}

// Answerer is which Redis answers at an address, as this host sees it.
type Answerer int

// Which Redis answers.
const (
	AnswererUnknown Answerer = iota // a timeout, a lost connection, an error reply or a fault of this host's own: no evidence
	NobodyListens                   // the connection is refused
	OurRedisAnswers
	AnotherAnswers // another server
)

// FollowsNode reports whether a member is announced at the new address of its node. It is if its Redis answers there. If
// nobody listens there, it is only if its Redis is known not to be at the old address: this host may not reach its own address,
// and others may.
func FollowsNode(atNew, atOld Answerer) bool {
	return atNew == OurRedisAnswers || atNew == NobodyListens && (atOld == NobodyListens || atOld == AnotherAnswers)
}

// ReturnsToFormer reports whether a member that followed its node to an address, at which its Redis did not answer, is announced
// at its former address again.
func ReturnsToFormer(atNew, atFormer Answerer) bool {
	return atNew == NobodyListens && atFormer == OurRedisAnswers
}

// WithMasterAt returns the state with its master at the place of me. It is the same instance, so the term stays. A state whose
// master is another member is returned unchanged.
func (s State) WithMasterAt(me Master) State {
	if !s.masterMoved(me) {
		return s
	}
	m := *s.Master
	m.Address, m.Node = me.Address, me.Node
	s.Master = &m
	if r, recorded := s.Members[m.ID]; recorded {
		s.Members = cloneMembers(s.Members)
		r.Address = m.Address
		s.Members[m.ID] = r
	}
	return s
}

// masterMoved reports whether me is the published master, and the state has it at another place.
func (s State) masterMoved(me Master) bool {
	if !s.isMaster(me.ID) || me.Address == "" {
		return false
	}
	r, recorded := s.Members[me.ID]
	return s.Master.Address != me.Address || s.Master.Node != me.Node || recorded && r.Address != me.Address
}

// OtherAddresses returns the addresses of a member that may be right if it does not answer at its own: the one that its agent
// wrote, and those in the state. Another member may have one of them by now: see View.OwnsRun.
func OtherAddresses(m Member, v View) (out []string) {
	all := []string{v.LiveAgents[m.ID].Address, v.State.Members[m.ID].Address}
	if v.State.isMaster(m.ID) {
		all = append(all, v.State.Master.Address)
	}
	for _, addr := range all {
		if addr != "" && addr != m.Address && !slices.Contains(out, addr) {
			out = append(out, addr)
		}
	}
	return out
}

// Listed is an address at which the catalogue lists a member.
type Listed struct {
	Address string
	Passing bool // the member's check passes, and it is registered with this address
}

// ListedAddresses returns the addresses at which the catalogue lists a member, first those whose check passes. If a member is
// registered with a host of its own, the address of its node is one of them. The node may have moved since, or the host is a name
// that still resolves to an earlier address here.
func ListedAddresses(entries []handlers.Entry, id string) (out []Listed) {
	var others []Listed
	for _, e := range entries {
		if e.ID() != id {
			continue
		}
		if e.Status() == handlers.CheckPassing {
			out = append(out, Listed{e.Addr(), true})
		} else {
			others = append(others, Listed{e.Addr(), false})
		}
		if addr := e.NodeAddr(); addr != "" {
			others = append(others, Listed{addr, false})
		}
	}
	return append(out, others...)
}

// OnlyRefuses reports whether a master refuses connections from this host while our Redis still streams from it: then it is not
// down.
func OnlyRefuses(h redis.Health, own redis.Status, addr string) bool {
	return redis.Refused(h.Err) && own.Streaming() && own.MasterAddr == addr
}
