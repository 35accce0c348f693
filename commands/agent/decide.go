package agent

import (
	"errors"
	"time"

	"resec/commands/cluster"
	"resec/commands/lock"
	"resec/handlers/redis"
)

// snapshot is all that an agent knows at one moment.
type snapshot struct {
	view          cluster.View     // of Consul; Index 0: nothing yet
	paused        bool             // the cluster is, by our clock
	health        redis.Health     // of our Redis
	probed        bool             // health is an answer
	session       *lock.Session    // ours, nil: none
	consulDown    bool             // Consul does not answer our watch
	consulUpSince time.Time        // when it last came back to us
	adopted       string           // the session that was our predecessor's
	hasLed        bool             // we have led since we were started
	registered    bool             // our check is in Consul, so that a session can be bound to it
	reason        string           // why our Redis was not made to follow or to lead, the last time
	operator      operatorSettings // the operator's guard
	failure       masterFailure    // how the published master is, as our watch on it sees it
}

// step is what an agent does next.
type step int

const (
	wait          step = iota // for the next change
	ineligible                // the lock is free, and our Redis may not lead, whatever it holds
	contend                   // the lock is free, and we may take it
	lead                      // the lock is ours
	stepDown                  // the lock is ours, and our Redis cannot be master: give it back
	transferLock              // the lock is ours, and an operator wants another to have it
	follow                    // make our Redis a replica of the published master
	park                      // make our Redis a replica of nobody
	preempt                   // the lock's holder is gone, and does not say so
	misconfigured             // this agent is misconfigured
)

// decide decides, and says why.
func decide(k snapshot, id, service string) (step, string) {
	holding := k.session != nil && k.view.Session == k.session.ID
	switch {
	case k.view.Index == 0:
		return wait, "consul has not answered yet"
	case k.view.CheckService(service) != nil:
		return misconfigured, k.view.CheckService(service).Error()
	case errors.Is(k.view.Err, cluster.ErrConflict):
		return misconfigured, k.view.Err.Error()
	case k.view.Err != nil && !holding: // who holds the lock writes the state anew
		return wait, k.view.Err.Error()
	case !k.probed:
		return wait, "redis has not answered yet"
	}
	bar := unusableReason(k.health)
	switch {
	case k.paused && holding && k.view.State.Master != nil && k.view.State.Master.ID != id: // it was passed to us, and the pause came before we acted
		return stepDown, "the cluster is " + k.view.Pause.String()
	case k.paused && !isServingMaster(k, id): // who is the master goes on to be
		return wait, "the cluster is " + k.view.Pause.String()
	case holding && bar != "":
		return stepDown, bar
	case holding && otherRequested(k, id):
		return transferLock, "an operator wants " + k.view.Request.To
	case holding:
		return lead, "the lock is ours"
	case k.health.Err != nil:
		return wait, bar
	case !k.view.Free() && masterFailed(k, id):
		return preempt, "the master " + k.view.State.Master.ID + " is missing, and holds the lock"
	case !k.view.Free():
		return followDecision(k, id)
	case unelectedMaster(k):
		return park, "redis is a master that nobody elected"
	case otherRequested(k, id):
		return wait, "an operator wants " + k.view.Request.To
	case bar != "": // it may follow, once there is somebody to
		return ineligible, bar
	case k.session == nil:
		return wait, "there is no session yet"
	}
	return contend, "the lock is free"
}

// setView takes a view in.
func (k *snapshot) setView(v cluster.View) {
	k.view, k.paused = v, v.Pause.Active(time.Now())
}

// otherRequested tells whether an operator wants another member, whose agent lives, to have the lock.
func otherRequested(k snapshot, id string) bool {
	r := k.view.Request
	return r.Active() && r.To != id && k.view.LiveAgents[r.To].Session != "" && !k.paused
}

// unelectedMaster tells whether our Redis takes writes in a cluster whose published master is another run: it was restarted, and
// not born parked, or somebody promoted it by hand.
func unelectedMaster(k snapshot) bool {
	m, st := k.view.State.Master, k.health.Status
	return m != nil && st.Master && !st.Fenced() && st.RunID != m.RunID
}

// unusableReason says why a Redis cannot be elected, whoever it is; nothing when it can.
func unusableReason(h redis.Health) string {
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
func followDecision(k snapshot, id string) (step, string) {
	s, st := k.view.State, k.health.Status
	m := s.Master
	alone := st.Parked() || st.Master && st.Fenced()
	_, recorded := s.Members[id]
	switch stranger := s.RefuseFollowReason(id, st); {
	case m != nil && (m.ID == id && k.view.Holder == id || m.RunID == st.RunID):
		return wait, "the lock is held under our own name"
	case m == nil || m.ID != k.view.Holder:
		if unelectedMaster(k) {
			return park, "redis is a master that nobody elected"
		}
		return wait, "the lock's holder has not published itself yet"
	case st.MasterAddr == m.Address && !st.Fenced():
		return wait, "following " + m.ID
	case s.ForcedToFollow(id):
		return follow, "an operator wants the master to be " + m.ID
	case stranger != "":
		return park, stranger
	case !recorded && len(s.Members) > 0 && alone:
		return wait, "the master's agent has not recorded us yet"
	case !recorded && len(s.Members) > 0:
		return park, "the master's agent has not recorded us yet"
	}
	return follow, "the master is " + m.ID
}
