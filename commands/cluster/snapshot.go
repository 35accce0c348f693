package cluster

import (
	"time"

	"resec/handlers/redis"
)

// Snapshot is all that an agent knows at one moment.
type Snapshot struct {
	View          View             // of Consul; Index 0: nothing yet
	Paused        bool             // the cluster is, by our clock
	Health        redis.Health     // of our Redis
	Probed        bool             // health is an answer
	SessionID     string           // ours; empty: there is none
	ConsulDown    bool             // Consul does not answer our watch
	ConsulUpSince time.Time        // when it last came back to us
	Adopted       string           // the session that was our predecessor's
	HasLed        bool             // we have led since we were started
	Registered    bool             // our check is in Consul, so that a session can be bound to it
	Reason        string           // why our Redis was not made to follow or to lead, the last time
	Operator      OperatorSettings // the operator's guard
	Failure       MasterFailure    // how the published master is, as our watch on it sees it
}

// HoldsLock reports whether our session holds the lock.
func (k Snapshot) HoldsLock() bool { return k.SessionID != "" && k.View.Session == k.SessionID }

// SetView takes a view in.
func (k *Snapshot) SetView(v View) {
	k.View, k.Paused = v, v.Pause.Active(time.Now())
}

// CatalogNotNeeded tells whether nothing of the catalogue counts: the master's own agent has given it up, and our Redis is recorded, so
// that nobody leads who is not. Three calls are most of what a failover takes.
func (k Snapshot) CatalogNotNeeded(id string) bool {
	s := k.View.State
	return s.Master != nil && s.Master.ID != id && s.MasterReportedGone(s.Master.ID) && s.NotRecordedReason(id, k.Health.Status.RunID) == ""
}

// KnownUnresponsive tells whether a member is the master, and known not to answer: to its own agent, or to the watch on it.
func (k Snapshot) KnownUnresponsive(id string) bool {
	s := k.View.State
	return s.MasterReportedGone(id) || s.Master != nil && s.Master.ID == id && k.Failure.Unreachable && k.Failure.RunID == s.Master.RunID
}

// NetworkMayReject tells whether a master that refuses us may live, and the network be what rejects: the lock is free without a word, and
// its agent, which would say that it is dead, still passes its check.
func NetworkMayReject(v View, m Member) bool {
	return v.Free() && v.State.Why == "" && v.State.Master != nil && v.State.Master.ID == m.ID && m.InCatalog() && m.AgentAlive()
}

// FollowedMaster is the published master, where our Redis follows it.
func FollowedMaster(k Snapshot, id string) (Master, bool) {
	m, st := k.View.State.Master, k.Health.Status
	if m == nil || m.ID == id || st.Master || st.MasterAddr != m.Address {
		return Master{}, false
	}
	return *m, true
}

// InstanceDown tells whether a master's run is over: nothing listens, or another run answers. A silent one may live.
func InstanceDown(h redis.Health, run string) bool {
	return redis.Refused(h.Err) || redis.Replied(h.Err) && h.Status.RunID != "" && h.Status.RunID != run
}

// IsServingMaster tells whether our Redis is the published master, and accepts writes.
func IsServingMaster(k Snapshot, id string) bool {
	m, st := k.View.State.Master, k.Health.Status
	return m != nil && m.ID == id && m.RunID == st.RunID && st.Master && !st.Fenced()
}

// ResumesTerm tells whether the reign is our predecessor's, and goes on as it is, in the same term.
func ResumesTerm(k Snapshot, id string) bool {
	return k.Adopted == k.SessionID && !k.View.FromLastKnown && k.View.Request == nil && k.View.State.Why == "" && k.View.State.Master != nil && IsServingMaster(k, id)
}
