package cluster

import (
	"cmp"
	"fmt"
	"time"

	"resec/handlers/redis"
)

// CountReplicas returns how many recorded members keep up with our Redis, and how many other replicas do. The guard needs both:
// Redis counts every replica, a challenger counts members only. A member that answered our stream with errors counts as one of
// the others: it may not lead.
//
// A replica belongs to the member that announces its address. If a member has no such replica, because of a NAT between them,
// follows reports whether the member's own Redis says that it follows ours.
//
// A passive replica does not count as another: Redis counts it no longer than a challenger waits for the guard to close. A guard
// that was raised for it would refuse writes when it ends, until it is lowered.
func CountReplicas(st redis.Status, v View, me string, follows func(id string) bool, policy GuardPolicy) (members, unknown int) {
	links, unknown := linksByMember(st, v, me, policy)
	erring := 0
	for id := range v.State.Members {
		if id == me {
			continue
		}
		link, linked := links[id]
		if v.LiveAgents[id].StreamErrors.Count > 0 {
			if linked && keepsUp(link, policy) {
				erring++
			}
			continue
		}
		if linked && keepsUp(link, policy) {
			members++
		} else if !linked && unknown > 0 && follows(id) {
			members++
			unknown--
		}
	}
	return members, unknown + erring
}

// linksByMember returns the best link of each member that has one by its address, and the number of other replicas that keep
// up. Redis lists the former link of a member that reconnected for a while.
func linksByMember(st redis.Status, v View, me string, policy GuardPolicy) (links map[string]redis.Replica, unknown int) {
	links = map[string]redis.Replica{}
	for _, r := range st.Replicas {
		id := MemberAtAddr(v, me, r.Addr)
		if id == "" {
			if keepsUp(r, policy) && !r.Passive() {
				unknown++
			}
			continue
		}
		if former, twice := links[id]; !twice || better(r, former) {
			links[id] = r
		}
	}
	return links, unknown
}

// PassiveReplicas is the number of clients that receive the stream and that Redis counts as replicas.
func PassiveReplicas(st redis.Status, policy GuardPolicy) (n int) {
	for _, r := range st.Replicas {
		if r.Passive() && keepsUp(r, policy) {
			n++
		}
	}
	return n
}

// keepsUp reports whether a replica counts for the guard.
func keepsUp(r redis.Replica, policy GuardPolicy) bool {
	return r.Online && r.Lag < policy.MaxCountedLag()
}

// better reports whether one link of a member is better than another: online, then less lag.
func better(a, b redis.Replica) bool { return a.Online && (!b.Online || a.Lag < b.Lag) }

// UnknownReplicaGrace is how long the number of unknown replicas must stay up before the guard is raised for them. When a member
// dies, its link counts as unknown until Redis drops it.
const UnknownReplicaGrace = 300 * time.Millisecond

// UnknownReplicas is the number of unknown replicas for which the guard is raised.
type UnknownReplicas struct {
	Count int       // -1: not known yet
	Since time.Time // since when there are more; zero: there are not
}

// Observe returns the number after n unknown replicas were counted at now. Fewer count at once, more after UnknownReplicaGrace.
func (u UnknownReplicas) Observe(n int, now time.Time) UnknownReplicas {
	if u.Count < 0 || n <= u.Count {
		return UnknownReplicas{Count: n}
	}
	if u.Since.IsZero() {
		return UnknownReplicas{Count: u.Count, Since: now}
	}
	if now.Sub(u.Since) < UnknownReplicaGrace {
		return u
	}
	return UnknownReplicas{Count: n}
}

// MemberAtAddr returns the id of the recorded member, other than me, whose Redis is announced at an address; empty if none is.
func MemberAtAddr(v View, me, addr string) string {
	for id, r := range v.State.Members {
		if id != me && cmp.Or(v.LiveAgents[id].Address, r.Address) == addr {
			return id
		}
	}
	return ""
}

// ReplicaFingerprint returns a string that changes when a replica comes, leaves, or completes its sync.
func ReplicaFingerprint(st redis.Status) (out string) {
	for _, r := range st.Replicas {
		out += fmt.Sprint(r.Addr, r.Online, " ")
	}
	return out
}

// IsRecordedInstance reports whether a run belongs to a recorded member, by the state or by the member's agent: a restarted
// member attaches before its new run is recorded.
func IsRecordedInstance(v View, runID string) bool {
	if runID == "" {
		return false
	}
	for id, r := range v.State.Members {
		if r.RunID == runID || v.LiveAgents[id].RunID == runID {
			return true
		}
	}
	return false
}
