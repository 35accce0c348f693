package cluster

// OperatorSettings is the operator's own guard on our Redis, as one run had it before resec changed it.
type OperatorSettings struct {
	RunID string // empty: not known yet
	MinReplicas
}

// Discover returns the operator's own guard once Redis and Consul have answered: what our predecessor persisted for this run,
// otherwise what is set now. Under a fence that is what was set before it.
func (o OperatorSettings) Discover(k Snapshot, id string) OperatorSettings {
	st := k.Health.Status
	if !k.Fresh || st.RunID == "" || st.RunID == o.RunID {
		return o
	}
	if key, persisted := k.View.LiveAgents[id]; persisted && key.RunID == st.RunID {
		return OperatorSettings{RunID: st.RunID, MinReplicas: key.OperatorGuard}
	}
	return OperatorSettings{RunID: st.RunID, MinReplicas: MinReplicas{Replicas: st.MinReplicasUnfenced(), MaxLag: st.MaxLag}}
}

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
	return MemberKey{Session: k.SessionID, RunID: runID, Address: me.Address, OperatorGuard: k.Operator.MinReplicas,
		Since: k.Since, WrongAddresses: k.WrongAddresses}
}
