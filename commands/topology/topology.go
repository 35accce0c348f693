// Package topology makes of what Consul shows what clients of a cluster need: who is master, and who may be read from.
//
// Topology.next is a pure function of the last topology and of what was seen. Feed.Run starts a goroutine for each watch, and the
// one that publishes; it joins them.
package topology

import (
	"cmp"
	"crypto/sha1"
	"encoding/hex"
	"slices"
	"time"

	"resec/commands/catalog"
	"resec/commands/cluster"
	"resec/handlers"
)

// Topology is what clients need to know of a cluster at one moment. Its slices are never changed in place.
type Topology struct {
	Name      string     // by which clients ask for the cluster
	Master    Instance   // the zero Instance: no master was seen yet
	Replicas  []Instance // without the master, by address
	Endpoints []Peer     // that answer as Sentinels, this one included, by address
	Reachable bool       // Consul answers
}

// Instance is a Redis server as the catalogue shows it.
type Instance struct {
	ID      string
	Addr    string // host:port
	RunID   string // empty: the state does not name it
	Version string // of Redis; empty: unknown
	Term    uint64 // in which it was registered in its role
	Up      bool   // its check passes: a master accepts writes, a replica streams
	Gone    bool   // its check is critical
	Since   time.Time
}

// Peer is an endpoint of Sentinel's protocol as the catalogue shows it.
type Peer struct{ ID, Addr string }

// seen is what the watches have shown.
type seen struct {
	view      cluster.View
	instances []handlers.Entry // of both roles
	endpoints []handlers.Entry
	reachable bool
}

// next is the topology after what was seen at now.
func (t Topology) next(s seen, n catalog.Naming, now time.Time) Topology {
	after := Topology{Name: t.Name, Reachable: s.reachable}
	after.Master = t.nextMaster(s, n, now)
	for _, e := range s.instances {
		if !n.Matches(e, catalog.Replica) || !validPort(e) || e.Addr() == after.Master.Addr {
			continue
		}
		after.Replicas = append(after.Replicas, instance(e, s.view.State, t.instanceAt(e.Addr()), now))
	}
	slices.SortFunc(after.Replicas, func(a, b Instance) int { return cmp.Compare(a.Addr, b.Addr) })
	after.Replicas = slices.CompactFunc(after.Replicas, func(a, b Instance) bool { return a.Addr == b.Addr })
	for _, e := range s.endpoints {
		id := ID(e.Node.Node, e.Service.ID) // a Sentinel of Redis, or an endpoint of another name, has another one, or none
		ours := e.Service.Meta["id"] == id && e.Service.Meta["name"] == t.Name
		if ours && e.Status() != handlers.CheckCritical && validPort(e) {
			after.Endpoints = append(after.Endpoints, Peer{id, e.Addr()})
		}
	}
	slices.SortFunc(after.Endpoints, func(a, b Peer) int { return cmp.Compare(a.Addr, b.Addr) })
	return after
}

// ID is the id of the endpoint that is registered on a Consul node under a service's id: 40 hexadecimal digits, as Sentinel's
// are. It is the same in each run, and on every host that reads the entry.
func ID(node, service string) string {
	sum := sha1.Sum([]byte(node + "/" + service)) // only a name
	return hex.EncodeToString(sum[:])
}

// nextMaster is the master for clients. Another one becomes it once its check passes, because only then it accepts
// writes, and only if it is the published one: an old master's entry may still pass. Until then the last master stays, as with
// Sentinel. An entry that is missing says nothing: between two masters there is none, nor after Consul has lost its data.
func (t Topology) nextMaster(s seen, n catalog.Naming, now time.Time) Instance {
	var masters []handlers.Entry
	var last, demoted *handlers.Entry // of the last master: as a master, and as a replica
	for _, e := range s.instances {
		switch {
		case n.Matches(e, catalog.Master):
			if e.Addr() == t.Master.Addr && e.Term() == t.Master.Term {
				last = &e
			}
			if e.Status() == handlers.CheckPassing && s.published(e, t.Master.Term) {
				masters = append(masters, e)
			}
		case n.Matches(e, catalog.Replica) && e.Addr() == t.Master.Addr:
			demoted = &e
		}
	}
	if e, found := handlers.MasterOf(masters, ""); found {
		return instance(e, s.view.State, t.instanceAt(e.Addr()), now)
	}
	switch {
	case last != nil:
		return instance(*last, s.view.State, t.Master, now)
	case demoted != nil:
		return t.Master.demoted(*demoted, now)
	}
	return t.Master
}

// demoted is the last master while it is listed as a replica, and no other master is known: it accepts no writes, and is gone if
// its check is critical.
func (i Instance) demoted(e handlers.Entry, now time.Time) Instance {
	gone := e.Status() == handlers.CheckCritical
	if i.Up || i.Gone != gone {
		i.Up, i.Gone, i.Since = false, gone, now
	}
	return i
}

// readable reports whether the state under the lock key is known.
func (s seen) readable() bool {
	return s.view.Index != 0 && s.view.Err == nil && s.view.State.Master != nil
}

// published reports whether an entry is that of the published master. If the token may not read the state, it is one of a newer
// term than the last master's.
func (s seen) published(e handlers.Entry, last uint64) bool {
	if !s.readable() {
		return e.Term() > last
	}
	m := s.view.State.Master
	return m.ID == e.ID() && m.Term == e.Term()
}

// instance is an entry as an Instance; before is the last one at its address, if any.
func instance(e handlers.Entry, state cluster.State, before Instance, now time.Time) Instance {
	status := e.Status()
	i := Instance{ID: e.ID(), Addr: e.Addr(), Term: e.Term(), Up: status == handlers.CheckPassing,
		Gone: status == handlers.CheckCritical, Version: e.Service.Meta["version"],
		RunID: state.Members[e.ID()].RunID, Since: before.Since}
	if m := state.Master; m != nil && m.ID == i.ID {
		i.RunID = m.RunID
	}
	if before.Addr == "" || before.Up != i.Up || before.Gone != i.Gone {
		i.Since = now
	}
	return i
}

// instanceAt returns what is known of an address; the zero Instance if nothing is.
func (t Topology) instanceAt(addr string) Instance {
	for _, i := range append([]Instance{t.Master}, t.Replicas...) {
		if i.Addr == addr {
			return i
		}
	}
	return Instance{}
}

// Others are the endpoints without the one with that id.
func (t Topology) Others(id string) []Peer {
	return slices.DeleteFunc(slices.Clone(t.Endpoints), func(e Peer) bool { return e.ID == id })
}

// validPort reports whether an entry can be connected to.
func validPort(e handlers.Entry) bool { return e.Service.Port > 0 && e.Service.Port <= 65535 }
