package cluster

import (
	"errors"
	"reflect"
	"slices"
)

// LastSeen is the newest that one agent has seen of the keys below the lock. The zero value has seen nothing.
//
// Consul may show older keys again: `consul snapshot restore` brings back those of the snapshot, under their old indexes. The
// agents, the Redis servers and most sessions continue meanwhile. So the newest state that an agent has seen is right, and what
// Consul shows is not. A state that is missing or damaged is treated in the same way. A Consul that has lost all data has lost
// the pause, too, and its indexes begin anew.
type LastSeen struct {
	State      State  // the newest with a master
	StateIndex uint64 // its ModifyIndex
	Pause      *Pause // nil: none
	PauseIndex uint64 // its ModifyIndex; without a pause the highest index of a view that had none
	Renewals   int    // how often Consul's indexes have begun anew

	request       string   // session of the request in the newest view; empty: none
	endedRequests []string // sessions of requests that have ended, the newest last
	endedPauses   []Pause  // pauses that have ended, the newest last
	index         uint64   // the highest of a view
}

// maxEnded bounds LastSeen.endedRequests and endedPauses. It is more than an operator makes between a snapshot and its
// restoration.
const maxEnded = 256

// Read returns what is seen last once a view was read. It also returns that view with what was seen last instead of what is
// missing, damaged or older in it. A state of a newer version is neither: the view keeps its error, so that nothing is written.
//
// A late answer looks like a Consul that went back, too. The caller tells them apart by a consistent read.
func (l LastSeen) Read(v View) (LastSeen, View) {
	if errors.Is(v.Err, ErrNewerVersion) {
		v.State = l.State
		return l, v
	}
	olderState := l.newerThan(v)
	if !olderState && v.Err == nil && v.State.Master != nil {
		l = l.believe(v)
	}
	l, v = l.readPause(v, olderState)
	switch {
	case olderState:
		v.ConsulTerm, v.WentBack = v.State.Term(), true
		v.State, v.FromLastKnown = l.State, true
	case v.Err == nil && v.State.Master != nil:
		v.ConsulTerm = v.State.Term()
	case l.State.Master != nil:
		v.State, v.FromLastKnown, v.Err = l.State, true, nil
	}
	if !v.WentBack {
		v.ConsulTerm = 0
	}
	return l.readRequest(v)
}

// believe takes a state in. If its index is lower than that of the last one, Consul has lost all data: no index that was seen
// before says what is older.
func (l LastSeen) believe(v View) LastSeen {
	if v.StateIndex < l.StateIndex {
		l.PauseIndex, l.Renewals = 0, l.Renewals+1
	}
	l.State, l.StateIndex = v.State, v.StateIndex
	return l
}

// newerThan reports whether the state that was seen last is newer than the one in a view: a term only rises, and so does the
// ModifyIndex within a term.
func (l LastSeen) newerThan(v View) bool {
	if v.Err != nil || v.State.Master == nil || l.State.Master == nil {
		return false
	}
	if was, is := l.State.Master, v.State.Master; was.Term != is.Term || was.RunID != is.RunID {
		return is.Term < was.Term
	}
	return v.StateIndex < l.StateIndex && !reflect.DeepEqual(v.State, l.State)
}

// readPause takes the pause of a view. A pause that is gone was ended by an operator, unless the state is older, too. A pause
// that has ended once stays ended.
func (l LastSeen) readPause(v View, olderState bool) (LastSeen, View) {
	ended := func(p Pause) bool { return p.equal(v.Pause) }
	older := v.Pause != nil && !l.Pause.equal(v.Pause) &&
		(v.PauseIndex < l.PauseIndex || slices.ContainsFunc(l.endedPauses, ended))
	if older || v.Pause == nil && olderState && l.Pause != nil {
		v.Pause, v.WentBack = l.Pause, true
		return l, v
	}
	if at := max(v.PauseIndex, v.indexWithoutPause()); at >= l.PauseIndex {
		if l.Pause != nil && !l.Pause.equal(v.Pause) {
			all := append(slices.Clone(l.endedPauses), *l.Pause)
			l.endedPauses = all[max(0, len(all)-maxEnded):]
		}
		l.Pause, l.PauseIndex = v.Pause, at
	}
	return l, v
}

func (v View) indexWithoutPause() uint64 {
	if v.Pause != nil {
		return 0
	}
	return v.Index
}

// readRequest takes the request of a view, unless the view is older than another one. A request that has ended once stays ended:
// its session is shown again by a Consul that went back.
func (l LastSeen) readRequest(v View) (LastSeen, View) {
	shown := ""
	for _, r := range []*Request{v.Request, v.Answered} {
		if r != nil {
			shown = r.Session
		}
	}
	if shown != "" && slices.Contains(l.endedRequests, shown) {
		v.Request, v.Answered, shown = nil, nil, ""
	}
	if v.WentBack || v.Index < l.index {
		return l, v
	}
	if l.request != "" && l.request != shown {
		ended := append(slices.Clone(l.endedRequests), l.request)
		l.endedRequests = ended[max(0, len(ended)-maxEnded):]
	}
	l.request, l.index = shown, v.Index
	return l, v
}

// Wrote returns what is seen last once a write of this agent returned a view with the state that it wrote. Within a term that is
// the newest whatever its index: a Consul that has lost all data begins with a low one.
func (l LastSeen) Wrote(v View) LastSeen {
	if v.State.Master != nil && v.State.Term() >= l.State.Term() {
		return l.believe(v)
	}
	return l
}

// Repair is how an agent writes back what Consul has lost.
type Repair int

// The repairs. Each is one transaction, which fails if another agent was faster.
const (
	NoRepair     Repair = iota
	TakeLockBack        // our Redis is the published master: write the state back, and take the lock, whoever holds it
	ReturnLock          // our session holds the lock: write the state back, and give the lock to the published master
	WriteBack           // neither: write the state back after repair.Grace, and leave the lock alone
	Believe             // later still, believe the state of the same term: the master's agent remembers no newer one
)

// String returns what a repair does, for logs.
func (r Repair) String() string {
	return [...]string{"nothing", "take the lock back", "return the lock to the master", "write the state back",
		"believe it"}[r]
}

// RepairOf returns how an agent repairs a Consul that went back in time. The published master keeps its place as long as its
// Redis serves: its agent takes the lock, and its term continues. With a free lock the member that acquires it writes the state,
// and so does the holder that takes over from a master that has failed. The master's agent repairs a state of its own term. If it
// does not, it was restarted, and what it has written since is right.
func RepairOf(k Snapshot, id string) Repair {
	v := k.View
	switch {
	case !k.Fresh || !v.WentBack || v.State.Master == nil:
		return NoRepair
	case IsServingMaster(k, id) && k.SessionID != "":
		return TakeLockBack
	case v.Free() || masterGone(k):
		return NoRepair
	case k.HoldsLock() && !v.State.isMaster(id):
		return ReturnLock
	case v.ConsulTerm == v.State.Term(): // what the master's agent wrote last may have been written under a lower index
		if v.Holder == v.State.Master.ID {
			return Believe
		}
		return NoRepair
	}
	return WriteBack
}

// masterGone reports whether the published master is known to be down or unreachable.
func masterGone(k Snapshot) bool {
	m, f := k.View.State.Master, k.Failure
	return f.RunID == m.RunID && (f.Down || f.Unreachable)
}

// MayReclaim reports whether our Redis continues as the published master although another session, or none, holds the lock: the
// lock was lost and is free, or Consul went back in time. An agent that has just started has to take the lock before that.
func MayReclaim(k Snapshot, id string) bool {
	return k.HasLed && (k.View.Free() || k.View.WentBack) && IsServingMaster(k, id)
}
