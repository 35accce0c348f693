package main

import (
	"fmt"
	"math/rand/v2"

	"resec/scripts/lab"
)

// setting is the cluster of a walk.
type setting struct {
	lab.Plan
	Rejects bool // its network may reject what it does not let through
	Brief   bool // a replica may lag by less

	// Of a cluster whose settings are drawn:
	fronts []*front // that each member has before its Consul agent
	listen []string // LISTEN_ADDR of each member
	words  []string // what was drawn
}

// name of every cluster: each has a Consul of its own.
const name = "walk"

// settingOf is the setting of a seed. In six seeds on end each kind of disk is with each lag.
func settingOf(seed uint64, members int) setting {
	r := rand.New(rand.NewPCG(seed, uint64(members)))
	s := setting{Brief: seed%2 == 0, Rejects: r.IntN(3) == 0, Plan: lab.Plan{Name: name, Members: members, Servers: 1 + 2*r.IntN(2),
		Clients: r.IntN(3) > 0, Network: true, StartParked: true, Persist: []lab.Persist{lab.None, lab.RDB, lab.AOF}[seed%3],
		Env: []string{"CONSUL_LOCK_SESSION_NAME=" + name}}}
	if s.Brief {
		s.Env = append(s.Env, "GUARD_MAX_LAG=2s")
	}
	if s.Rejects { // as the page on guarantees wants it
		s.Env = append(s.Env, "EARLY_TAKEOVER=false")
	}
	return s
}

func (s setting) String() string {
	out := fmt.Sprintf("%d members, %d consul servers", s.Members, s.Servers)
	if s.Clients {
		out += ", a client agent for each member"
	}
	switch s.Persist {
	case lab.None:
		out += ", in memory"
	default:
		out += ", " + string(s.Persist)
	}
	if s.Brief {
		out += ", GUARD_MAX_LAG=2s"
	}
	if s.Rejects {
		out += ", a network that rejects, EARLY_TAKEOVER=false"
	}
	for _, w := range s.words {
		out += "\n    " + w
	}
	return out
}
