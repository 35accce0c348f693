package main

import (
	"fmt"

	"resec/scripts/lab"
)

// aim selects the members that a fault hits.
func (r *round) aim(f Fault) *Harm {
	h := &Harm{Fault: f, Member: nobody, Other: nobody}
	switch {
	case f.Kind == ConsulRestored:
	case f.Kind != ServerKilled && f.Kind != ServerFrozen:
		h.Member = r.member(f.On)
		if (f.Kind == MemberLink || f.Kind == ByHand) && f.To != f.On {
			h.Other = r.member(f.To)
		}
	case f.On < len(r.k.Servers):
		h.Server = []int{f.On}
	default:
		for i := range r.k.Servers {
			h.Server = append(h.Server, i)
		}
	}
	return h
}

// things are those that a harm is done to.
func (r *round) things(h *Harm) (on []string) {
	redis, agent, client := fmt.Sprint("redis of m", h.Member), fmt.Sprint("agent of m", h.Member), fmt.Sprint("client of m", h.Member)
	switch h.Kind {
	case AgentKilled, AgentLeft:
		return []string{agent}
	case ClientKilled, ClientLeft:
		return []string{client}
	case Crashed, HostFrozen:
		return []string{redis, agent, client}
	case ServerKilled, ServerFrozen:
		for _, s := range h.Server {
			on = append(on, fmt.Sprint("consul server ", s))
		}
		return on
	case ConsulLink, MemberLink, Isolated:
		for _, peer := range r.peers(h) {
			a, b := r.k.Hosts[h.Member].Name, peer.Name
			on = append(on, "link of "+min(a, b)+" and "+max(a, b))
		}
		return on
	case SessionDestroyed, Switchover:
		return nil
	case Paused:
		return []string{"pause"}
	case ConsulRestored:
		return []string{"what consul holds"}
	case Maintained, Overwritten:
		return []string{fmt.Sprint("entry of m", h.Member)}
	}
	return []string{redis}
}

// peers are the other ends of the links that a harm cuts.
func (r *round) peers(h *Harm) (out []*lab.NetHost) {
	if h.Kind == MemberLink {
		return []*lab.NetHost{r.k.Hosts[h.Other]}
	}
	for _, s := range r.k.Servers {
		out = append(out, s.Net)
	}
	for i, host := range r.k.Hosts {
		if h.Kind == Isolated && i != h.Member {
			out = append(out, host)
		}
	}
	return out
}
