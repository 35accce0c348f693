package cluster

import (
	"fmt"

	"resec/handlers/redis"
)

// OperatorSettings is what the operator has configured on our Redis, as one run had it before resec changed it.
type OperatorSettings struct {
	RunID string // empty: not known yet
	MinReplicas
	StartedAs StartRole
}

// Discover returns the operator's own settings once Redis and Consul have answered: what our predecessor persisted for this run,
// otherwise what is set now. Under a fence that is what was set before it. A guard that resec has set is never the operator's,
// whichever run has it: see GuardRecord.
func (o OperatorSettings) Discover(k Snapshot, id string) OperatorSettings {
	st := k.Health.Status
	if !k.Fresh || st.RunID == "" || st.RunID == o.RunID {
		return o
	}
	if key, persisted := k.View.LiveAgents[id]; persisted && key.RunID == st.RunID {
		return OperatorSettings{RunID: st.RunID, MinReplicas: key.OperatorGuard, StartedAs: key.StartedAs}
	}
	set := MinReplicas{Replicas: st.MinReplicasUnfenced(), MaxLag: st.MaxLag}
	o = OperatorSettings{RunID: st.RunID, MinReplicas: k.View.State.operatorGuard(id, set)}
	if k.First.RunID == st.RunID && !k.View.State.hasSeen(id, st.RunID) {
		o.StartedAs = startRoleOf(k.First)
	}
	return o
}

// AdoptKey takes what our predecessor persisted of the present run of our Redis.
func (s *Observation) AdoptKey(key MemberKey) {
	st := s.Health.Status
	if key.RunID != st.RunID {
		return
	}
	s.StreamErrors = s.StreamErrors.Adopt(key.StreamErrors, st)
	if key.FailedSync != "" && s.FullSync.FailedFrom == "" && !st.Streaming() {
		s.FullSync.FailedFrom, s.FullSync.FailedRun = key.FailedSync, key.RunID
	}
}

// hasSeen reports whether an agent of that member has managed that run of its Redis before, as far as the state shows.
func (s State) hasSeen(id, runID string) bool {
	return s.Members[id].RunID == runID || s.isMaster(id) && s.Master.RunID == runID
}

// StartRole is the role in which a run of Redis came up, unless it came up parked: "master", or "replica of" with an address.
// Empty: it came up parked, or that is not known.
type StartRole string

const startedAsMaster StartRole = "master"

// startRoleOf returns the role of a Redis whose status is the first of its run.
func startRoleOf(first redis.Status) StartRole {
	switch {
	case first.Parked():
		return ""
	case first.Master:
		return startedAsMaster
	}
	return StartRole("replica of " + first.MasterAddr)
}

// Master reports whether Redis came up as a master.
func (r StartRole) Master() bool { return r == startedAsMaster }

// Warning says what the role of the start means and what ends it; empty: Redis came up parked.
func (r StartRole) Warning() string {
	switch {
	case r == "":
		return ""
	case r.Master():
		return "redis came up as a master: until its agent parks it, it takes writes that are lost; " + startParked
	}
	return "redis came up as a " + string(r) + ": if that server is empty when both start again, all keys are lost; " + startParked
}

const startParked = "put `replicaof 127.0.0.1 1` into its configuration file"

// Persisted reports whether Consul has the operator's own guard, so that it survives this process.
func (o OperatorSettings) Persisted(k Snapshot, id string) bool {
	key := k.View.LiveAgents[id]
	return o.RunID != "" && key.RunID == o.RunID && key.OperatorGuard == o.MinReplicas
}

// OwnMemberKey returns what this agent keeps in Consul about itself; the zero value without a session, or before Redis has
// answered and the operator's guard is known.
func OwnMemberKey(k Snapshot, me Master) MemberKey {
	runID := k.Health.Status.RunID
	if k.SessionID == "" || runID == "" || k.Operator.RunID != runID {
		return MemberKey{}
	}
	key := MemberKey{Session: k.SessionID, RunID: runID, Address: k.Announced(me).Address, OperatorGuard: k.Operator.MinReplicas,
		Refused: k.Refused.Lead(), Hidden: k.Hidden.By, StartedAs: k.Operator.StartedAs, Restarts: k.Restarts,
		StreamErrors: k.StreamErrors, Since: k.Since, WrongAddresses: k.WrongAddresses}
	if at := k.Announced(me); at.ServiceID != "" {
		key.Place = at.Node + "/" + at.ServiceID
	}
	key.StreamErrors.Count = min(1, k.StreamErrors.Count) // not written again with each of them
	if k.FullSync.FailedRun == runID {
		key.FailedSync = k.FullSync.FailedFrom
	}
	return key
}

// OperatorMinReplicasReason says that our Redis refuses writes because it has fewer replicas than its operator's own
// min-replicas-to-write demands; empty if it does not. The guard's keeper never goes below that.
func (k Snapshot) OperatorMinReplicasReason() string {
	st, own := k.Health.Status, k.Operator.Effective().Replicas
	attached := st.Attached(st.MaxLag + 1)
	if k.Operator.RunID != st.RunID || st.Fenced() || !st.BelowMinReplicas() || attached >= own {
		return ""
	}
	return fmt.Sprintf("the operator's min-replicas-to-write is %d, and %d replicas are attached", own, attached)
}
