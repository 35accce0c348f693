package cluster

import (
	"slices"

	"resec/handlers/redis"
)

// HeldOpen reports whether replicas that are no members keep our Redis writable, or soon may, although fewer members keep up than
// the published guard counts: Redis counts every replica, a challenger counts members only. A replica counts from when it is
// listed: it may be online before Redis is asked again.
func HeldOpen(st redis.Status, v View, me string, follows func(id string) bool, policy GuardPolicy) bool {
	published := v.State.Guard()
	if !st.Master || published.Replicas <= 0 || MembersKeepUp(st, v, me, follows, policy) {
		return false
	}
	return slices.ContainsFunc(st.Replicas, func(r redis.Replica) bool { return MemberAtAddr(v, me, r.Addr) == "" })
}

// MembersKeepUp reports whether as many members as the published guard counts keep up as Redis itself sees it.
func MembersKeepUp(st redis.Status, v View, me string, follows func(id string) bool, policy GuardPolicy) bool {
	published := v.State.Guard()
	policy.MaxLag = published.MaxLag + 2 // MaxCountedLag is a second less, and Redis counts a lag of MaxLag
	members, _ := CountReplicas(st, v, me, follows, policy)
	return members >= published.Replicas
}
