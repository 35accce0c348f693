package cluster

import (
	"cmp"
	"fmt"
	"time"

	"resec/handlers/redis"
)

// CountReplicas tells how many recorded members keep up with our Redis, and how many others may count for its guard as well. Those
// say nothing of where the cluster is: a challenger counts members. A replica is a member's by its announced address; where
// none has that, for there may be a NAT between, by what the member's own Redis says.
func CountReplicas(st redis.Status, v View, me string, says func(id string) bool, policy GuardPolicy) (members, strangers int) {
	by := map[string]redis.Replica{}
	nameless := 0
	for _, r := range st.Replicas {
		id := MemberAtAddr(v, me, r.Addr)
		if o, twice := by[id]; id == "" && r.Online && r.Lag < policy.MaxCountedLag() {
			nameless++
		} else if id != "" && (!twice || r.Online && (!o.Online || r.Lag < o.Lag)) { // of one that came back the old link is listed for a while
			by[id] = r
		}
	}
	for id := range v.State.Members {
		r, listed := by[id]
		switch {
		case id == me:
		case listed && r.Online && r.Lag < policy.MaxCountedLag():
			members++
		case !listed && nameless > 0 && says(id):
			members++
			nameless--
		}
	}
	return members, nameless
}

// UnknownReplicaGrace is for how long there must be more strangers before the guard is set higher for them: a member that dies has no Redis
// that speaks for its link a moment before our Redis drops that.
const UnknownReplicaGrace = 300 * time.Millisecond

// UnknownReplicas is how many strangers the guard is set higher for.
type UnknownReplicas struct {
	Count int       // -1: not known yet
	Since time.Time // there are more; zero: there are not
}

// Observe takes in how many there are.
func (s UnknownReplicas) Observe(n int, now time.Time) UnknownReplicas {
	switch {
	case s.Count < 0 || n <= s.Count:
		return UnknownReplicas{Count: n}
	case s.Since.IsZero():
		return UnknownReplicas{Count: s.Count, Since: now}
	case now.Sub(s.Since) < UnknownReplicaGrace:
		return s
	}
	return UnknownReplicas{Count: n}
}

// MemberAtAddr is the recorded member whose Redis is announced at an address.
func MemberAtAddr(v View, me, addr string) string {
	for id, r := range v.State.Members {
		if id != me && cmp.Or(v.LiveAgents[id].Address, r.Address) == addr {
			return id
		}
	}
	return ""
}

// ReplicaFingerprint are the addresses of those who replicate from a server, and who of them is past its sync, in one string to compare.
func ReplicaFingerprint(st redis.Status) (out string) {
	for _, r := range st.Replicas {
		out += fmt.Sprint(r.Addr, r.Online, " ")
	}
	return out
}

// IsRecordedInstance tells whether a run is that of a recorded member. One that was restarted is attached before its new run is recorded.
func IsRecordedInstance(v View, run string) bool {
	for id, r := range v.State.Members {
		if run != "" && (r.RunID == run || v.LiveAgents[id].RunID == run) {
			return true
		}
	}
	return false
}
