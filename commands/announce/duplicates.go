package announce

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/hashicorp/consul/api"

	"resec/commands/cluster"
	"resec/handlers"
	"resec/handlers/redis"
)

// otherRedisTimeout bounds the probe of a Redis that may be another one with our id.
const otherRedisTimeout = time.Second

// presence is what Consul shows of all members.
type presence struct {
	entries []handlers.Entry
	view    cluster.View // the zero View if the lock cannot be read
}

// duplicateEntry says which live instance, other than our own, has our id, or our place under another id.
func duplicateEntry(entries []handlers.Entry, me cluster.Master) string {
	return newerDuplicate(entries, me, 0)
}

// newerDuplicate is duplicateEntry without the instances of our id that were registered after the index: their agents give way.
// Without an index nobody gives way.
func newerDuplicate(entries []handlers.Entry, me cluster.Master, registered uint64) string {
	for _, e := range entries {
		samePlace := e.Node.Node == me.Node && e.Service.ID == me.ServiceID
		sameID := e.ID() == me.ID
		if e.ID() == "" || e.AgentStatus() == api.HealthCritical || sameID == samePlace {
			continue
		}
		if samePlace {
			return fmt.Sprintf("the service %s on this node is that of the live member %q, not of MEMBER_ID %q",
				e.Service.ID, e.ID(), me.ID)
		}
		if registered == 0 || e.Service.CreateIndex < registered {
			return fmt.Sprintf("MEMBER_ID %q is also that of the live service %s on node %s", me.ID, e.Service.ID, e.Node.Node)
		}
	}
	return ""
}

// placeTaken reports whether a live instance of another id has our place in the catalogue.
func placeTaken(entries []handlers.Entry, me cluster.Master) bool {
	return slices.ContainsFunc(entries, func(e handlers.Entry) bool {
		return e.Node.Node == me.Node && e.Service.ID == me.ServiceID && e.ID() != me.ID && e.AgentStatus() != api.HealthCritical
	})
}

// ownIndex is Consul's index at which our instance was registered; 0: it is not, or is another member's.
func ownIndex(entries []handlers.Entry, me cluster.Master) uint64 {
	for _, e := range entries {
		if e.Node.Node == me.Node && e.Service.ID == me.ServiceID && e.ID() == me.ID {
			return e.Service.CreateIndex
		}
	}
	return 0
}

// namesakeReason says that another agent of our id manages the server. A connection with our name that is older than ours is not
// enough, because any client can take that name. Consul must show an agent of our id, too. One that has just connected gets the
// time of a check's TTL to register. If two agents connect at the same moment, the one with the lower client id stays.
func (a *Announcer) namesakeReason(ctx context.Context, s *redis.Server, shown presence, now *start) string {
	n, err := s.OlderNamesakes(ctx)
	if err != nil && ctx.Err() == nil && now.clients.Changed(redis.Summary(err)) {
		a.Log.Warn("cannot list the clients of redis; a second resec with the same MEMBER_ID would not be noticed",
			"event", "clients_not_listed", "redis", s.Addr(), "err", err)
	}
	if n == 0 {
		now.namesakeSince = time.Time{}
		return ""
	}
	if now.namesakeSince.IsZero() {
		now.namesakeSince = time.Now()
	}
	if shown.hasMember(a.Me) || time.Since(now.namesakeSince) < a.Registrar.TTL() {
		return fmt.Sprintf("another resec named %q manages this redis already", a.Me.ID)
	}
	if now.namesakes.Changed("ignored") {
		a.Log.Warn("a client of redis has the name of this agent's connections, and consul shows no agent of this MEMBER_ID; "+
			"the client is ignored", "event", "namesake_ignored", "redis", s.Addr(), "member", a.Me.ID)
	}
	return ""
}

// managedReason says that the live agent of another member manages that run of Redis, perhaps by another address.
func managedReason(v cluster.View, id, run string) string {
	for _, other := range slices.Sorted(maps.Keys(v.LiveAgents)) {
		if key := v.LiveAgents[other]; other != id && key.Session != "" && key.RunID == run {
			return fmt.Sprintf("the agent of the live member %q manages this redis already; MEMBER_ID is %q here", other, id)
		}
	}
	return ""
}

// hasMember reports whether Consul shows a live agent of this member, or what one has left that was killed a moment ago.
func (p presence) hasMember(me cluster.Master) bool {
	for _, e := range p.entries {
		if e.ID() == me.ID && e.AgentStatus() != api.HealthCritical {
			return true
		}
	}
	return p.view.LiveAgents[me.ID].Session != "" || !p.view.Free() && p.view.Holder == me.ID
}

// idInUse says that another Redis is managed under our id: the published one, or that of the agent with our member key answers at
// its address. So the lock or the session under that id is not a predecessor's.
func (a *Announcer) idInUse(ctx context.Context, v cluster.View, runID string) string {
	key := v.LiveAgents[a.Me.ID]
	if key.Session != "" && a.answersAs(ctx, key.Address, key.RunID, runID) {
		return fmt.Sprintf("another redis, at %s, is managed under MEMBER_ID %q", key.Address, a.Me.ID)
	}
	m := v.State.Master
	if m != nil && m.ID == a.Me.ID && m.RunID != key.RunID && a.answersAs(ctx, m.Address, m.RunID, runID) {
		return fmt.Sprintf("another redis, at %s, is managed under MEMBER_ID %q", m.Address, a.Me.ID)
	}
	return ""
}

// answersAs reports whether that run of Redis answers at an address, and is not our own run.
func (a *Announcer) answersAs(ctx context.Context, addr, run, own string) bool {
	if run == "" || run == own || addr == "" {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, otherRedisTimeout)
	defer cancel()
	there, err := handlers.Probe(ctx, a.Creds.At(addr))
	return err == nil && there.RunID == run
}
