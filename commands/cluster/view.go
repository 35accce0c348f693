package cluster

import (
	"errors"
	"fmt"

	"resec/handlers/redis"
)

var (
	// ErrConflict is returned for a key that is in use for something other than a lock.
	ErrConflict = errors.New("the lock key is in use, and not as a lock")
	// ErrOtherCluster is returned for a state that belongs to another cluster.
	ErrOtherCluster = errors.New("the state under the lock key is another cluster's")
)

// View is the lock and the state as one read found them.
type View struct {
	Index         uint64 // of the read: 0 is no view at all
	LockIndex     uint64 // of the lock key's last change, 0 where there is no key
	Session       string // of the holder; empty: the lock is free
	Holder        string // the holder's id; of a foreign `consul lock` whatever it wrote
	State         State
	StateIndex    uint64               // 0: there is no state yet
	FromLastKnown bool                 // the state is not Consul's: that has vanished
	LiveAgents    map[string]MemberKey // id → member
	Request       *Request             // of an operator; nil: none
	Answered      *Request             // one that is over, until its asker has seen that
	Pause         *Pause               // of the cluster, also one that is over; nil: none
	Err           error                // ErrConflict, or a state that cannot be read
}

// Free tells whether nobody holds the lock.
func (v View) Free() bool { return v.Session == "" }

// SameLock tells whether the lock and the state are what they were.
func (v View) SameLock(o View) bool {
	return v.LockIndex == o.LockIndex && v.StateIndex == o.StateIndex && v.Session == o.Session && (v.Index == 0) == (o.Index == 0)
}

// CheckService returns ErrForeign where the state is that of a cluster with another master service.
func (v View) CheckService(service string) error {
	if s := v.State.Service; s != "" && s != service {
		return fmt.Errorf("%w: it names the service %q, ours is %q: two clusters need two CONSUL_LOCK_KEYs", ErrOtherCluster, s, service)
	}
	return nil
}

// IsMembers tells whether a Redis that answers at a member's address is that member's: its run is the recorded or the published
// one, or the one that its agent speaks of, or its history is the cluster's. Addresses are used again by others. Before the
// first master anybody is who he is said to be.
func (v View) IsMembers(id string, st redis.Status) bool {
	m := v.State.Master
	at, _ := v.State.historyIndex(v.State.ResolvePosition(st))
	return m == nil || at >= 0 || st.RunID == v.State.Members[id].RunID || st.RunID == v.LiveAgents[id].RunID || m.ID == id && st.RunID == m.RunID
}

// MayHoldNewerData tells whether a member that does not answer may hold what nobody else has: it was level with a master, and its agent
// lives, and has not given it up.
func (v View) MayHoldNewerData(id string) bool {
	r, recorded := v.State.Members[id]
	return recorded && !r.CatchingUp && v.LiveAgents[id].Session != "" && !v.State.MasterReportedGone(id)
}
