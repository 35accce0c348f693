package cluster

import (
	"fmt"
	"slices"
	"time"

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

// unnamedGrace is how long a server that nothing names counts as answering after its last answer: a restart takes seconds, and
// with much data more.
const unnamedGrace = time.Minute

// UnnamedMaster remembers a server that nothing names, and that our Redis replicates from. It belongs to the goroutine that
// surveys.
type UnnamedMaster struct {
	addr     string
	answered time.Time
}

// Observe returns what is remembered after a survey at now, and the address of the server if it counts as answering. addr is that
// of the server that our Redis follows and nothing names, or empty; answers reports whether it has answered.
func (u UnnamedMaster) Observe(addr string, answers bool, now time.Time) (UnnamedMaster, string) {
	switch {
	case addr != "" && answers:
		return UnnamedMaster{addr, now}, addr
	case addr != "" && u.addr == addr && now.Sub(u.answered) < unnamedGrace:
		return u, addr
	}
	return UnnamedMaster{}, ""
}

// UnnamedReason is why our Redis may not lead while a server that nothing names answers at the address that it replicates from.
func UnnamedReason(addr string) string {
	return fmt.Sprintf("redis replicates from %s, which answers and is no member; start resec there, or end this with "+
		"`REPLICAOF NO ONE`, or replace it with `resec failover -to ID -force`", addr)
}
