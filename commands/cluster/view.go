package cluster

import (
	"errors"
	"fmt"
	"reflect"
)

var (
	// ErrConflict is returned for a key that is used for something other than a lock.
	ErrConflict = errors.New("the lock key is in use, and not as a lock")
	// ErrOtherCluster is returned for a state that belongs to another cluster.
	ErrOtherCluster = errors.New("the state under the lock key belongs to another cluster")
)

// View is the lock, the state and the keys below the lock as one consistent read returned them.
type View struct {
	Index         uint64 // Consul's index of the read; 0: there is no view yet
	LockIndex     uint64 // ModifyIndex of the lock key; 0: there is no key
	Session       string // of the lock holder; empty: the lock is free
	Holder        string // member id of the lock holder; whatever `consul lock` wrote if that holds it
	LastHolder    string // what the holder wrote into the lock key, also after it released the lock
	State         State
	StateIndex    uint64               // ModifyIndex of the state; 0: there is no state yet
	FromLastKnown bool                 // the state in Consul is missing, damaged or older; State is the last known one
	WentBack      bool                 // Consul shows an older state or pause than one that was seen; see LastSeen
	ConsulTerm    uint64               // if WentBack: the term of the state as Consul shows it
	LiveAgents    map[string]MemberKey // by member id; a key whose session ended is included
	Request       *Request             // an operator's open request; nil: none
	Answered      *Request             // an operator's answered request, until its command has read the answer; nil: none
	Pause         *Pause               // the last pause, even if it is over; nil: none
	PauseIndex    uint64               // ModifyIndex of the pause in Consul; 0: there is none
	Err           error                // ErrConflict, ErrNewerVersion, or why the state cannot be read
}

// Free reports whether no session holds the lock.
func (v View) Free() bool { return v.Session == "" }

// SameLock reports whether the lock and the state are unchanged between two views.
func (v View) SameLock(o View) bool {
	unchanged := v.LockIndex == o.LockIndex && v.StateIndex == o.StateIndex && v.Session == o.Session
	return unchanged && (v.Index == 0) == (o.Index == 0)
}

// OnlyHolderChanged reports whether the state is as in an earlier view, no operator asks anew, and the lock is free or held by
// another member than the published master. It is false if either view is missing or cannot be used. Members that try to take
// over one after the other, and fail, change no more than the holder.
func (v View) OnlyHolderChanged(before View) bool {
	if v.Index == 0 || before.Index == 0 || v.Err != nil || before.Err != nil || v.WentBack != before.WentBack {
		return false
	}
	if v.Holder != "" && v.State.isMaster(v.Holder) {
		return false
	}
	return reflect.DeepEqual(v.State, before.State) && !v.AskedSince(before)
}

// AskedSince reports whether an operator has asked for something since an earlier view. The answer to a request is no new one.
func (v View) AskedSince(before View) bool {
	return v.Request != nil && !reflect.DeepEqual(v.Request, before.Request)
}

// CheckService returns ErrOtherCluster if the state belongs to a cluster with another master service, and ErrNewerVersion if
// that cannot be known.
func (v View) CheckService(service string) error {
	if errors.Is(v.Err, ErrNewerVersion) {
		return v.Err
	}
	if s := v.State.Service; s != "" && s != service {
		return fmt.Errorf("%w: its master service is %q, ours is %q; two clusters need two CONSUL_LOCK_KEYs",
			ErrOtherCluster, s, service)
	}
	return nil
}

// MayHoldNewerData reports whether a member that does not answer may hold data that no other member has. It may if it was in sync
// with a master, its agent is alive, and the agent has not reported a failure of its Redis.
func (v View) MayHoldNewerData(id string) bool {
	r, recorded := v.State.Members[id]
	return recorded && !r.CatchingUp && v.LiveAgents[id].Session != "" && !v.State.MasterReportedGone(id)
}
