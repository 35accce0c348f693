package status

import (
	"cmp"
	"errors"
	"maps"
	"slices"
	"time"

	"resec/commands/cluster"
	"resec/handlers"
	"resec/handlers/redis"
)

// agentVouches reports whether the published master's agent says that its Redis is the master, while that Redis does not say so
// to us. It denies us access, or does not answer us, or this host cannot ask it. A Redis that refuses connections has answered:
// it is down. If another one answers at its address, clients do not find it there either.
func agentVouches(v cluster.View, answers []MemberStatus) bool {
	m := v.State.Master
	if m == nil || v.Free() || v.Holder != m.ID || v.LiveAgents[m.ID].RunID != m.RunID {
		return false
	}
	return slices.ContainsFunc(answers, func(a MemberStatus) bool {
		silent := redis.AccessDenied(a.Err) || redis.LocalFault(a.Err) ||
			redis.Unreachable(a.Err) && !errors.Is(a.Err, cluster.ErrWrongAddress)
		return a.ID == m.ID && silent && cmp.Or(a.AgentCheck, a.Check) == handlers.CheckPassing
	})
}

// The sources of what a report says of a member, the best first.
const (
	fromRedis  = "redis"  // its Redis answered
	fromAgent  = "agent"  // its Redis did not; its agent is alive, and its check says the rest
	fromConsul = "consul" // neither is there: this is what Consul still has of it
)

// source is the best source that a report has for a member, and the age of the answer in seconds; nil: unknown.
func source(a MemberStatus, v cluster.View, now time.Time) (from string, age *float64) {
	switch {
	case a.Err == nil && !a.At.IsZero():
		seconds := max(0, now.Sub(a.At)).Round(time.Millisecond).Seconds()
		return fromRedis, &seconds
	case a.Err == nil:
		return fromRedis, nil
	case v.LiveAgents[a.ID].Session != "":
		return fromAgent, nil
	}
	return fromConsul, nil
}

// goneMembers are the members of which only their key is left: their agents died, and Consul has removed their services. An agent
// that is stopped removes its key, and so does `resec forget`.
func goneMembers(v cluster.View, answers []MemberStatus) (left []Member) {
	for _, id := range slices.Sorted(maps.Keys(v.LiveAgents)) {
		key := v.LiveAgents[id]
		known := slices.ContainsFunc(answers, func(a MemberStatus) bool { return a.ID == id })
		if key.Session == "" && !known {
			left = append(left, Member{ID: id, Address: key.Address, Role: "unknown", Check: cluster.NotInCatalog,
				Source: fromConsul, Reason: gone,
				Note: "it is gone; `resec forget " + id + "` if it will not come back"})
		}
	}
	return left
}
