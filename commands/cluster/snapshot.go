package cluster

import "resec/handlers/redis"

// Snapshot is everything that an agent knows at one moment.
type Snapshot struct {
	Observation
	SessionID  string                // of our session; empty: none
	Adopted    string                // the session that this agent adopted from its predecessor; empty: none
	HasLed     bool                  // this agent has led since it started
	Registered bool                  // our check is in Consul, so that a session can be bound to it
	Reason     string                // why our Redis was last kept from following or leading; empty: it was not
	Operator   OperatorSettings      // the operator's own guard on our Redis
	Refused    redis.MissingCommands // the commands that our Redis refuses to us; none are known before they were tried
	Hidden     Hidden                // what keeps clients from finding our member
	Restarts   Restarts              // of our Redis
	Failure    MasterFailure         // the published master as our monitor sees it
	Place      Place                 // where this member is now; zero: it is where it was when the agent started

	Since          int64      // when this agent started to manage our Redis, Unix time in milliseconds
	WrongAddresses AddressSet // members at whose announced address we reached another member's Redis, or our own
}

// Self is the instance of our Redis, as the member with that id.
func (k Snapshot) Self(id string) Instance { return Instance{ID: id, RunID: k.Health.Status.RunID} }

// HoldsLock reports whether our session holds the lock.
func (k Snapshot) HoldsLock() bool { return k.SessionID != "" && k.View.Session == k.SessionID }

// CatalogNotNeeded reports whether an election needs no catalogue: the master's own agent reported its failure, and our Redis is
// recorded as in sync, so that only recorded members may lead. It saves three calls, the larger part of a failover's time.
func (k Snapshot) CatalogNotNeeded(id string) bool {
	s := k.View.State
	if s.Master == nil || s.Master.ID == id || !s.MasterReportedGone(s.Master.ID) {
		return false
	}
	return s.NotRecordedReason(id, k.Health.Status.RunID) == ""
}

// FollowedMaster returns the published master if our Redis is configured as its replica.
func FollowedMaster(k Snapshot, id string) (Master, bool) {
	m, st := k.View.State.Master, k.Health.Status
	if m == nil || m.ID == id || st.Master || st.MasterAddr != m.Address {
		return Master{}, false
	}
	return *m, true
}

// IsServingMaster reports whether our Redis is the published master and is not fenced.
func IsServingMaster(k Snapshot, id string) bool {
	m, st := k.View.State.Master, k.Health.Status
	return m != nil && m.ID == id && m.RunID == st.RunID && st.Master && !st.Fenced()
}

// ResumesTerm reports whether our predecessor's term continues as it is. It does if we adopted its session, our Redis is still
// the published master, and neither an operator nor the predecessor asked for a change.
func ResumesTerm(k Snapshot, id string) bool {
	unchanged := !k.View.FromLastKnown && k.View.Request == nil && k.View.State.Why == ""
	return unchanged && k.Adopted == k.SessionID && IsServingMaster(k, id)
}
