package cluster

import (
	"fmt"
	"slices"

	"resec/handlers/redis"
)

// FollowsUnnamed reports whether our Redis replicates from a server that nothing of this cluster names: no published master, no
// member, no service instance, and not the lock's key. If that server answers it is somebody else's, and must be left alone.
func FollowsUnnamed(v View, own redis.Status, members []Member) bool {
	if v.State.Master != nil || own.Master || own.Parked() || own.MasterAddr == "" || v.LastHolder == own.MasterAddr {
		return false
	}
	return !slices.ContainsFunc(members, func(m Member) bool { return m.Address == own.MasterAddr })
}

// UnnamedReason is why our Redis may not lead while a server that nothing names answers at the address that it replicates from.
func UnnamedReason(addr string) string {
	return fmt.Sprintf("redis replicates from %s, which answers and is no member; start resec there, or end this with "+
		"`REPLICAOF NO ONE`, or replace it with `resec failover -to ID -force`", addr)
}
