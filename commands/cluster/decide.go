package cluster

import (
	"cmp"
	"errors"
	"slices"

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
	Park                        // make our Redis a replica of nothing
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
	if MasterFailed(k, id) {
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
	if why := RefusedReason(k, id); why != "" {
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
	if why := cmp.Or(UnusableReason(k, id), RefusedReason(k, id)); why != "" {
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

// UnusableReason returns why our Redis cannot be elected whatever data it holds, empty if it can. A priority of 0 is a wish about
// promotions: a Redis that is the master already keeps its term.
func UnusableReason(k Snapshot, id string) string {
	h := k.Health
	switch {
	case h.Err != nil:
		return "redis is unusable: " + redis.Summary(h.Err)
	case h.Status.Syncing:
		return "redis is syncing"
	case h.Status.Priority == 0 && !isMasterAlready(k, id):
		return "its replica-priority is 0"
	}
	return ""
}

// RefusedReason returns why our Redis cannot be made master, because it refuses a command that this needs; empty if it can. The
// published master is one already, and no term is ended for this.
func RefusedReason(k Snapshot, id string) string {
	refused := k.Refused.Lead()
	if refused == "" || isMasterAlready(k, id) {
		return ""
	}
	return "redis cannot be made master: " + refused
}

// isMasterAlready reports whether our Redis is the published master, fenced or not. If none is published, a writable master with
// replicas is.
func isMasterAlready(k Snapshot, id string) bool {
	st, s := k.Health.Status, k.View.State
	if s.isMaster(id) && s.Master.RunID == st.RunID {
		return st.Master
	}
	return Candidate{ID: id, Status: st}.Incumbent(s)
}

// OtherRequested reports whether an operator requests another master whose agent is alive. A pause suspends requests.
func OtherRequested(k Snapshot, id string) bool {
	r := k.View.Request
	return !k.Paused && r.Active() && r.To != id && k.View.LiveAgents[r.To].Session != ""
}

// UnelectedMaster reports whether our Redis accepts writes as a master while another instance is published: it was restarted
// without being parked, or promoted by hand.
func UnelectedMaster(k Snapshot) bool {
	m, st := k.View.State.Master, k.Health.Status
	return m != nil && st.Master && !st.Fenced() && st.RunID != m.RunID
}

// Followed is an instance of our Redis that followed a published master, and at which address. The zero value: it has led since.
type Followed struct{ RunID, Address string }

// ChangedByOther returns what something else has made of our Redis, which followed the published master in this very run. That is
// a master, or a replica of a server that is none of these: the master, the last one, the lock's holder. Empty: nothing. The
// caller forgets what was followed as a takeover of ours begins, and makes sure that the view is not late.
func ChangedByOther(k Snapshot, f Followed) string {
	st, m := k.Health.Status, k.View.State.Master
	unsure := m == nil || !k.Probed || k.Health.Err != nil || !k.Fresh || k.ConsulDown
	if unsure || k.Paused || f.RunID == "" || st.RunID != f.RunID {
		return ""
	}
	if UnelectedMaster(k) {
		return "a master"
	}
	ours := []string{redis.Sink, m.Address, f.Address, k.View.LiveAgents[k.View.Holder].Address}
	if st.Master || slices.Contains(ours, st.MasterAddr) {
		return ""
	}
	return "a replica of " + st.MasterAddr
}

const unelectedReason = "redis is a master that was not elected"
