package survey

import (
	"errors"

	"resec/commands/cluster"
	"resec/handlers/redis"
)

// probes are the answers at each address at which a member was asked.
type probes map[cluster.Member]*Answer // by id and address

// begin returns where to put the answer of a member at its address; nil: it is being asked there.
func (p probes) begin(m cluster.Member) *Answer {
	key := cluster.Member{ID: m.ID, Address: m.Address}
	if p[key] != nil {
		return nil
	}
	p[key] = &Answer{}
	return p[key]
}

// answer returns what a member answered at its address or, if it did not, at another one: it may have moved. If it is down at one
// address and silent at another it counts as silent.
func (p probes) answer(m cluster.Member, v cluster.View) Answer {
	is := *p[cluster.Member{ID: m.ID, Address: m.Address}]
	for _, addr := range append(cluster.OtherAddresses(m, v), m.NodeAddress) {
		o := p[cluster.Member{ID: m.ID, Address: addr}]
		if o == nil || is.Err == nil {
			continue
		}
		silent := addr != m.NodeAddress && unheard(o.Err) && cluster.Down(is.Err)
		if o.Err == nil && v.OwnsRun(m.ID, o.Status.RunID) || silent {
			is, m.Address = *o, addr
		}
	}
	is.Member = m
	return is
}

// unheard reports whether nothing answered: neither the member's Redis nor another one. It may be that this host could not ask.
func unheard(err error) bool {
	return redis.OutOfReach(err) && !cluster.Down(err) && !errors.Is(err, cluster.ErrWrongAddress)
}

// atNodes are the members that refuse connections at the host with which they are registered, at the addresses of their nodes.
func (p probes) atNodes(members []cluster.Member) (out []cluster.Member) {
	for _, m := range members {
		if is := p[cluster.Member{ID: m.ID, Address: m.Address}]; m.NodeAddress != "" && redis.Refused(is.Err) {
			out = append(out, cluster.Member{ID: m.ID, Address: m.NodeAddress})
		}
	}
	return out
}

// atOtherAddresses are the members that have more than one address, once for each of the others.
func atOtherAddresses(members []cluster.Member, v cluster.View) (out []cluster.Member) {
	for _, m := range members {
		for _, addr := range cluster.OtherAddresses(m, v) {
			out = append(out, cluster.Member{ID: m.ID, Address: addr})
		}
	}
	return out
}
