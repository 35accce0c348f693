package cluster

import (
	"errors"

	"resec/handlers/redis"
)

// Action is what an agent does next.
type Action int

const (
	Wait          Action = iota // for the next change
	Ineligible                  // the lock is free, and our Redis may not lead, whatever it holds
	Contend                     // the lock is free, and we may take it
	Lead                        // the lock is ours
	StepDown                    // the lock is ours, and our Redis cannot be master: give it back
	TransferLock                // the lock is ours, and an operator wants another to have it
	Follow                      // make our Redis a replica of the published master
	Park                        // make our Redis a replica of nobody
	Preempt                     // the lock's holder is gone, and does not say so
	Misconfigured               // this agent is misconfigured
)

// Decide decides, and says why.
func Decide(k Snapshot, id, service string) (Action, string) {
	holding := k.HoldsLock()
	switch {
	case k.View.Index == 0:
		return Wait, "consul has not answered yet"
	case k.View.CheckService(service) != nil:
		return Misconfigured, k.View.CheckService(service).Error()
	case errors.Is(k.View.Err, ErrConflict):
		return Misconfigured, k.View.Err.Error()
	case k.View.Err != nil && !holding: // who holds the lock writes the state anew
		return Wait, k.View.Err.Error()
	case !k.Probed:
		return Wait, "redis has not answered yet"
	}
	bar := UnusableReason(k.Health)
	switch {
	case k.Paused && holding && k.View.State.Master != nil && k.View.State.Master.ID != id: // it was passed to us, and the pause came before we acted
		return StepDown, "the cluster is " + k.View.Pause.String()
	case k.Paused && !IsServingMaster(k, id): // who is the master goes on to be
		return Wait, "the cluster is " + k.View.Pause.String()
	case holding && bar != "":
		return StepDown, bar
	case holding && OtherRequested(k, id):
		return TransferLock, "an operator wants " + k.View.Request.To
	case holding:
		return Lead, "the lock is ours"
	case k.Health.Err != nil:
		return Wait, bar
	case !k.View.Free() && MasterFailed(k, id):
		return Preempt, "the master " + k.View.State.Master.ID + " is missing, and holds the lock"
	case !k.View.Free():
		return followDecision(k, id)
	case UnelectedMaster(k):
		return Park, "redis is a master that nobody elected"
	case OtherRequested(k, id):
		return Wait, "an operator wants " + k.View.Request.To
	case bar != "": // it may follow, once there is somebody to
		return Ineligible, bar
	case k.SessionID == "":
		return Wait, "there is no session yet"
	}
	return Contend, "the lock is free"
}

// UnusableReason says why a Redis cannot be elected, whoever it is; nothing when it can.
func UnusableReason(h redis.Health) string {
	switch {
	case h.Err != nil:
		return "redis is unusable: " + redis.Summary(h.Err)
	case h.Status.Syncing:
		return "redis is syncing"
	case h.Status.Priority == 0:
		return "its replica-priority is 0"
	}
	return ""
}

// followDecision decides while another holds the lock. Only who holds it and has published itself is followed: until
// then the one before may be published still. A newcomer waits, parked, until the master's agent has recorded it.
func followDecision(k Snapshot, id string) (Action, string) {
	s, st := k.View.State, k.Health.Status
	m := s.Master
	alone := st.Parked() || st.Master && st.Fenced()
	_, recorded := s.Members[id]
	switch stranger := s.RefuseFollowReason(id, st); {
	case m != nil && (m.ID == id && k.View.Holder == id || m.RunID == st.RunID):
		return Wait, "the lock is held under our own name"
	case m == nil || m.ID != k.View.Holder:
		if UnelectedMaster(k) {
			return Park, "redis is a master that nobody elected"
		}
		return Wait, "the lock's holder has not published itself yet"
	case st.MasterAddr == m.Address && !st.Fenced():
		return Wait, "following " + m.ID
	case s.ForcedToFollow(id):
		return Follow, "an operator wants the master to be " + m.ID
	case stranger != "":
		return Park, stranger
	case !recorded && len(s.Members) > 0 && alone:
		return Wait, "the master's agent has not recorded us yet"
	case !recorded && len(s.Members) > 0:
		return Park, "the master's agent has not recorded us yet"
	}
	return Follow, "the master is " + m.ID
}

// OtherRequested tells whether an operator wants another member, whose agent lives, to have the lock.
func OtherRequested(k Snapshot, id string) bool {
	r := k.View.Request
	return r.Active() && r.To != id && k.View.LiveAgents[r.To].Session != "" && !k.Paused
}

// UnelectedMaster tells whether our Redis takes writes in a cluster whose published master is another run: it was restarted, and
// not born parked, or somebody promoted it by hand.
func UnelectedMaster(k Snapshot) bool {
	m, st := k.View.State.Master, k.Health.Status
	return m != nil && st.Master && !st.Fenced() && st.RunID != m.RunID
}
