package agent

import (
	"errors"
	"time"

	"resec/commands/lock"
	"resec/handlers/redis"
)

// known is all that an agent knows at one moment.
type known struct {
	view       lock.View     // of Consul; Index 0: nothing yet
	health     redis.Health  // of our Redis
	seen       bool          // health is an answer
	session    *lock.Session // ours, nil: none
	back       time.Time     // when Consul last came back to us
	adopted    string        // the session that was our predecessor's
	registered bool          // our check is in Consul, so that a session can be bound to it
	refusal    string        // why our Redis was not made to follow, the last time

}

// step is what an agent does next.
type step int

const (
	wait    step = iota // for the next change
	contend             // the lock is free, and we may take it
	lead                // the lock is ours
	yield               // the lock is ours, and our Redis cannot be master: give it back
	follow              // make our Redis a replica of the published master
	quit                // this agent is misconfigured
)

// next decides, and says why.
func next(k known, id, service string) (step, string) {
	holding := k.session != nil && k.view.Session == k.session.ID
	switch {
	case k.view.Index == 0:
		return wait, "consul has not answered yet"
	case k.view.Belongs(service) != nil:
		return quit, k.view.Belongs(service).Error()
	case errors.Is(k.view.Err, lock.ErrConflict):
		return quit, k.view.Err.Error()
	case k.view.Err != nil:
		return wait, k.view.Err.Error()
	case !k.seen:
		return wait, "redis has not answered yet"
	}
	bar := unusable(k.health)
	switch {
	case holding && bar != "":
		return yield, bar
	case holding:
		return lead, "the lock is ours"
	case k.health.Err != nil:
		return wait, bar
	case k.view.Free() && bar != "": // it may follow, once there is somebody to
		return wait, bar
	case k.view.Free() && k.session == nil:
		return wait, "there is no session yet"
	case k.view.Free():
		return contend, "the lock is free"
	}
	return whomToFollow(k, id)
}

// unusable says why a Redis cannot be elected; nothing when it can.
func unusable(h redis.Health) string {
	switch {
	case h.Err != nil:
		return "redis is unusable: " + redis.Why(h.Err)
	case h.Status.Syncing:
		return "redis is syncing"
	case h.Status.Priority == 0:
		return "its replica-priority is 0"
	}
	return ""
}

// whomToFollow decides while another holds the lock. Only who holds it and has published itself is followed: until
// then the one before may be published still.
func whomToFollow(k known, id string) (step, string) {
	m, st := k.view.State.Master, k.health.Status
	switch {
	case m == nil || m.ID != k.view.Holder:
		return wait, "the lock's holder has not published itself yet"
	case m.ID == id || m.RunID == st.RunID:
		return wait, "the lock is held under our own name"
	case st.Of == m.Address && !st.Fenced():
		return wait, "following " + m.ID
	}
	return follow, "the master is " + m.ID
}
