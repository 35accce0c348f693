package cluster

import (
	"fmt"
	"maps"
	"slices"
)

// NotUniqueReason returns why this agent must give way to another process that is alive, empty if it need not:
//
//   - The agent of the published master's instance stays, whatever else is known.
//   - Of two agents with one id, the one stays whose Redis is published under the lock, otherwise the one with the member key.
//   - Of two agents that manage one Redis under two ids, the one stays whose id is published. If neither is, the one stays that
//     has a member key, otherwise the one that has started first. The same holds for two that register one service instance of
//     one Consul agent for two Redis servers.
//
// Each agent finds the same one, because all of it is in one view. A view may be older than our own last write, so the caller
// confirms the reason by a later, consistent one.
func NotUniqueReason(k Snapshot, me Master) string {
	run, m := k.Health.Status.RunID, k.View.State.Master
	if !k.Fresh || k.Health.Err != nil || run == "" || publishesInstance(m, me.ID, run) {
		return ""
	}
	if why := sameIDReason(k, me, run); why != "" {
		return why
	}
	own := k.View.LiveAgents[me.ID]
	for _, id := range slices.Sorted(maps.Keys(k.View.LiveAgents)) {
		other := k.View.LiveAgents[id]
		if id == me.ID || other.Session == "" || other.RunID != run && !samePlace(own, other) {
			continue
		}
		ours := k.SessionID != "" && own.Session == k.SessionID && own.RunID == run
		if !publishesInstance(m, id, other.RunID) && ours && !olderKey(id, other, me.ID, own) {
			continue // the other one gives way
		}
		if other.RunID == run {
			return fmt.Sprintf("the agent of the live member %q manages this redis, too; MEMBER_ID is %q here", id, me.ID)
		}
		return fmt.Sprintf("the live member %q registers the service %s of the same consul agent, too, for another redis: "+
			"ANNOUNCE_ADDR or REDIS_ADDR is to differ", id, own.Place)
	}
	return ""
}

// SharesEntry reports whether the live agent of another member may register our service instance: it manages our Redis, or has
// our place in the catalogue.
func SharesEntry(k Snapshot, id string) bool {
	own := k.View.LiveAgents[id]
	for other, key := range k.View.LiveAgents {
		sameRedis := key.RunID != "" && key.RunID == k.Health.Status.RunID
		if other != id && key.Session != "" && (sameRedis || samePlace(own, key)) {
			return true
		}
	}
	return false
}

// samePlace reports whether two agents register one service instance of one Consul agent: they overwrite each other's entry.
func samePlace(a, b MemberKey) bool { return a.Place != "" && a.Place == b.Place }

// sameIDReason returns why this agent must give way to another one that has its id and another Redis.
func sameIDReason(k Snapshot, me Master, run string) string {
	m := k.View.State.Master
	if k.SessionID == "" { // it is not known yet whether there is a predecessor's to adopt
		return ""
	}
	if m != nil && m.ID == me.ID && k.View.Holder == me.ID && !k.View.Free() && k.View.Session != k.SessionID &&
		m.Address != me.Address {
		return fmt.Sprintf("MEMBER_ID %q is also that of the published master, whose redis is at %s", me.ID, m.Address)
	}
	key := k.View.LiveAgents[me.ID]
	if key.Session != "" && key.Session != k.SessionID && key.RunID != run && key.Address != me.Address {
		return fmt.Sprintf("MEMBER_ID %q is also that of a live agent whose redis is at %s", me.ID, key.Address)
	}
	return ""
}

// publishesInstance reports whether a published master is that run of that member.
func publishesInstance(m *Master, id, run string) bool {
	return m != nil && m.ID == id && m.RunID == run
}

// olderKey reports whether one member key is that of an agent which has started before another's. An agent that does not say when
// it has started is of an earlier version, and gives way to nobody.
func olderKey(id string, key MemberKey, other string, than MemberKey) bool {
	if key.Since != than.Since {
		return key.Since < than.Since
	}
	return id < other
}
