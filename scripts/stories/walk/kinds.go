package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Kind is what a fault does.
type Kind string

// The kinds.
const (
	RedisKilled      Kind = "redis-killed" // and started with what its disk has
	RedisWiped       Kind = "redis-wiped"  // and its disk, too
	RedisFrozen      Kind = "redis-frozen"
	AgentKilled      Kind = "agent-killed"
	AgentLeft        Kind = "agent-left" // stopped by SIGTERM
	Crashed          Kind = "crashed"    // a member as a whole
	HostFrozen       Kind = "host-frozen"
	ConsulLink       Kind = "consul-link" // a member cut off from Consul's servers
	MemberLink       Kind = "member-link" // two members from each other
	Isolated         Kind = "isolated"    // a member from all but the clients
	ServerKilled     Kind = "server-killed"
	ServerFrozen     Kind = "server-frozen"
	ClientKilled     Kind = "client-killed" // the Consul agent of a member
	ClientLeft       Kind = "client-left"
	SessionDestroyed Kind = "session-destroyed" // by hand
	LinksKilled      Kind = "links-killed"      // by CLIENT KILL on a replica
	ByHand           Kind = "replicaof"         // on a replica
	Switchover       Kind = "switchover"        // to the most recent replica, or to a certain member
	Paused           Kind = "paused"            // the cluster
	ConsulRestored   Kind = "consul-restored"   // to what it held when the round began
	Maintained       Kind = "maintenance"       // of a member's service, by an operator
	Overwritten      Kind = "overwritten"       // a member's entry in the catalogue, by another tool
)

// trait is what follows from a kind.
type trait uint

const (
	impairs trait = 1 << iota // the member may miss what its master writes meanwhile, until it has caught up
	severs                    // if the member is the master, its last writes may be nowhere else
	forgets                   // the data in its Redis's memory is lost
	thaws                     // its Redis continues later as if nothing had been
	returns                   // a Consul agent comes back with what it knew before
	cuts                      // a link
	beside                    // of the Consul agent of a member, if there is one
	hands                     // a master may hand over to another
	foreign                   // somebody else writes to Consul: only for clusters whose settings are drawn
)

// nature is what a kind's faults are like.
type nature struct {
	trait
	least, most time.Duration // how long they last
}

var kinds = map[Kind]nature{
	RedisKilled:      {impairs | severs | forgets, 0, 6 * time.Second},
	RedisWiped:       {impairs | severs | forgets, 0, 4 * time.Second},
	RedisFrozen:      {impairs | severs | thaws, 500 * time.Millisecond, 8 * time.Second},
	AgentKilled:      {0, 0, 8 * time.Second},
	AgentLeft:        {hands, 0, 4 * time.Second},
	Crashed:          {impairs | severs | forgets | returns | beside, 0, 10 * time.Second},
	HostFrozen:       {impairs | severs | thaws | returns | beside, 500 * time.Millisecond, 14 * time.Second},
	ConsulLink:       {returns | cuts, 500 * time.Millisecond, 14 * time.Second},
	MemberLink:       {impairs | severs | cuts, 500 * time.Millisecond, 14 * time.Second},
	Isolated:         {impairs | severs | returns | cuts, 500 * time.Millisecond, 14 * time.Second},
	ServerKilled:     {returns, 0, 10 * time.Second},
	ServerFrozen:     {returns, 500 * time.Millisecond, 10 * time.Second},
	ClientKilled:     {returns | beside, 0, 6 * time.Second},
	ClientLeft:       {returns | beside, 0, 4 * time.Second},
	SessionDestroyed: {},
	LinksKilled:      {impairs, 0, 0},
	ByHand:           {impairs, 0, 0},
	Switchover:       {hands, 0, 0},
	Paused:           {0, 500 * time.Millisecond, 6 * time.Second},
	ConsulRestored:   {returns | hands | foreign, 0, 0},
	Maintained:       {hands | foreign, time.Second, 8 * time.Second},
	Overwritten:      {foreign, 0, 0},
}

func (k Kind) is(t trait) bool { return kinds[k].trait&t != 0 }

// named are the kinds of a list with commas, in order. If it is empty, they are all that are of use: without a network no link is cut,
// and foreign writes are for clusters whose settings are drawn.
func named(list string, drawn bool) ([]Kind, error) {
	all := slices.Sorted(maps.Keys(kinds))
	if list == "" {
		return slices.DeleteFunc(all, func(k Kind) bool { return k.is(cuts) && drawn || k.is(foreign) && !drawn }), nil
	}
	var out []Kind
	for name := range strings.SplitSeq(list, ",") {
		if !slices.Contains(all, Kind(name)) {
			return nil, fmt.Errorf("there is no fault %q; there are %v", name, all)
		}
		out = append(out, Kind(name))
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}
