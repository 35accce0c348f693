package cluster

import (
	"cmp"
	"errors"

	"resec/handlers/redis"
)

// Action is what an agent does next.
type Action int

// The actions of an agent.
const (
	Wait          Action = iota // for the next change
	Ineligible                  // the lock is free, and our Redis may not lead whatever it holds
	Contend                     // the lock is free, and this agent may acquire it
	Lead                        // this agent holds the lock: run a term
	StepDown                    // this agent holds the lock, and its Redis cannot be master: release it
	TransferLock                // this agent holds the lock, and an operator requests another master
	Follow                      // make our Redis a replica of the published master
	Park                        // make our Redis a replica of nothing; for a master that has died commands/monitor does so
	Preempt                     // the lock holder's Redis failed and its agent does not report it: end its session
	Misconfigured               // this agent cannot work with what is in Consul: exit
)

var actionNames = [...]string{"wait", "ineligible", "contend", "lead", "step down", "transfer the lock", "follow", "park",
	"preempt", "exit"}

// String returns the name of an action for logs.
func (a Action) String() string { return actionNames[a] }

// Decide returns the next action of an agent and the reason. The first rule that applies decides:
//
//   - What is in Consul cannot be used, or Redis has not answered yet: exit or wait (decideUnusableView).
//   - The cluster is paused: only the serving master continues (decidePaused).
//   - This agent holds the lock: lead, step down, or transfer the lock (decideHolding).
//   - Our Redis is unusable: wait.
//   - Another agent holds the lock: follow its Redis, or preempt it if that has failed.
//   - The lock is free: contend, unless something prevents it (decideFree).
func Decide(k Snapshot, id, service string) (Action, string) {
	if action, why := decideUnusableView(k, service); why != "" {
		return action, why
	}
	if !k.Probed {
		return Wait, "redis has not answered yet"
	}
	if action, why := decidePaused(k, id); why != "" {
		return action, why
	}
	if k.HoldsLock() {
		return decideHolding(k, id)
	}
	if k.Health.Err != nil {
		return Wait, UnusableReason(k, id)
	}
	if k.View.Free() {
		return decideFree(k, id)
	}
	if masterFailed(k, id) {
		return Preempt, "the master " + k.View.State.Master.ID + " is down or unreachable, and its session still holds the lock"
	}
	return decideFollow(k, id)
}

// decideUnusableView decides if there is no view, or its state cannot be used. An empty reason: it can be used.
//
// An agent that finds a state of a newer version when it starts exits: it changed nothing. An agent that knows an earlier state
// (State is the last known one) waits, and leaves lock and state as they are. If it exited, it would take a working replica out
// of the catalogue, or end a master's session and cause a failover, during a rolling upgrade. It parks a Redis that became a
// master without an election. The holder of the lock rewrites a state that it cannot read for another reason.
func decideUnusableView(k Snapshot, service string) (Action, string) {
	if !k.Fresh {
		return Wait, "consul has not answered yet"
	}
	if errors.Is(k.View.Err, ErrNewerVersion) && k.View.State.Master != nil {
		if k.Probed && k.Health.Err == nil && !k.Paused && UnelectedMaster(k) {
			return Park, unelectedReason // that writes nothing to Consul, and two masters would take writes
		}
		return Wait, k.View.Err.Error()
	}
	if err := k.View.CheckService(service); err != nil {
		return Misconfigured, err.Error()
	}
	if errors.Is(k.View.Err, ErrConflict) {
		return Misconfigured, k.View.Err.Error()
	}
	if k.View.Err != nil && !k.HoldsLock() {
		return Wait, k.View.Err.Error()
	}
	return decideWentBack(k)
}

// decideWentBack decides while Consul shows an older state than one that was seen, and another agent, or this one, holds the lock
// as it was then. The state is written back first; see RepairOf. An empty reason: the newest state that was seen is enough. That
// holds if the lock is free, because whoever acquires it writes that state, and if the master has failed.
func decideWentBack(k Snapshot) (Action, string) {
	if !k.View.WentBack || k.View.Free() || k.View.State.Master == nil || masterGone(k) {
		return Wait, ""
	}
	if k.Probed && k.Health.Err == nil && !k.Paused && UnelectedMaster(k) {
		return Park, unelectedReason
	}
	return Wait, wentBackReason
}

const wentBackReason = "consul went back in time; the newest state is written back first"

// decidePaused decides while the cluster is paused. An empty reason: it is not paused, or our Redis is the serving master, which
// continues. An agent that was given the lock before the pause, and has not published itself, gives it back.
func decidePaused(k Snapshot, id string) (Action, string) {
	if !k.Paused {
		return Wait, ""
	}
	why := "the cluster is " + k.View.Pause.String()
	if m := k.View.State.Master; k.HoldsLock() && m != nil && m.ID != id {
		return StepDown, why
	}
	if !IsServingMaster(k, id) {
		return Wait, why
	}
	return Wait, ""
}

// decideHolding decides while this agent holds the lock.
func decideHolding(k Snapshot, id string) (Action, string) {
	if why := UnusableReason(k, id); why != "" {
		return StepDown, why
	}
	if OtherRequested(k, id) {
		return TransferLock, requestedReason(k)
	}
	if why := commandsRefused(k, id); why != "" {
		return StepDown, why
	}
	return Lead, "this agent holds the lock"
}

// decideFree decides while the lock is free and our Redis answers. An ineligible Redis may follow once there is a master.
func decideFree(k Snapshot, id string) (Action, string) {
	if UnelectedMaster(k) {
		return Park, unelectedReason
	}
	if OtherRequested(k, id) {
		return Wait, requestedReason(k)
	}
	if why := cmp.Or(UnusableReason(k, id), commandsRefused(k, id)); why != "" {
		return Ineligible, why
	}
	if k.SessionID == "" {
		return Wait, "there is no consul session yet"
	}
	if key := k.View.LiveAgents[id]; key.Session != "" && key.Session != k.SessionID { // nobody could tell the two apart
		return Wait, "the member key of " + id + " is another session's"
	}
	return Contend, "the lock is free"
}

func requestedReason(k Snapshot) string {
	return "an operator requested " + k.View.Request.To + " as master"
}

// decideFollow decides while another agent holds the lock. The first rule that applies decides:
//
//   - Only a lock holder that has published itself is followed: until then the master before it may still be published.
//   - A Redis that could not read a full sync of the master is parked, unless an operator forces it.
//   - A Redis that already follows the master unfenced is left alone, unless it has nothing yet. One that cannot read what the
//     master sends tries for ever.
//   - An operator's force makes any Redis follow.
//   - Unrelated data are parked.
//   - A Redis that the first write would end, because it cannot save its data, waits, parked.
//   - A new member waits, parked, until the master's agent has recorded it.
func decideFollow(k Snapshot, id string) (Action, string) {
	m, st := k.View.State.Master, k.Health.Status
	if m != nil && publishesUs(k, id, *m) {
		return Wait, "the lock is held under our member id, or the published master is our redis"
	}
	if m == nil || m.ID != k.View.Holder {
		if UnelectedMaster(k) {
			return Park, unelectedReason
		}
		return Wait, "the lock holder has not published itself as master yet"
	}
	if refused := k.FullSync.RefusedReason(st, *m); refused != "" && !k.View.State.ForcedToFollow(id) {
		return Park, refused
	}
	if st.MasterAddr == m.Address && !st.Fenced() {
		if startsOver(st) && !k.View.State.waitsToBeRecorded(id) {
			return Follow, "following " + m.ID + " without data: verifying that redis can read what the master sends"
		}
		return Wait, "following " + m.ID
	}
	if k.View.State.ForcedToFollow(id) {
		return Follow, "an operator forces this member to follow " + m.ID
	}
	if refused := k.View.State.RefuseFollowReason(id, st); refused != "" {
		return Park, refused
	}
	if k.View.State.waitsToBeRecorded(id) {
		return unrecordedAction(k), "the master's agent has not recorded this member yet"
	}
	if st.WriteEndsReplica {
		return Park, "as a replica redis would end with the first write: " + st.Refusing()
	}
	return Follow, "the master is " + m.ID
}

// startsOver reports whether a replica has neither data nor a link nor a position, so that a full sync is needed or under way.
func startsOver(st redis.Status) bool {
	return st.Keys == 0 && !st.LinkUp && !st.Loading && st.Position.Offset <= noPosition
}

// publishesUs reports whether the published master is our own Redis, or another one whose agent holds the lock under our id.
func publishesUs(k Snapshot, id string, m Master) bool {
	return m.RunID == k.Health.Status.RunID || m.ID == id && k.View.Holder == id
}

// waitsToBeRecorded reports whether a member is not recorded although members are: under `resec elect` there are none.
func (s State) waitsToBeRecorded(id string) bool {
	_, recorded := s.Members[id]
	return !recorded && len(s.Members) > 0
}

// unrecordedAction parks our Redis unless it is detached and takes no writes already.
func unrecordedAction(k Snapshot) Action {
	if st := k.Health.Status; st.Parked() || st.Master && st.Fenced() {
		return Wait
	}
	return Park
}
