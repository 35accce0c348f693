package cluster

// OwnMemberKey is what is to be said; without a session nothing.
func OwnMemberKey(k Snapshot, me Master) MemberKey {
	if k.SessionID == "" || k.Health.Status.RunID == "" || k.Operator.RunID != k.Health.Status.RunID {
		return MemberKey{}
	}
	return MemberKey{Session: k.SessionID, RunID: k.Health.Status.RunID, Address: me.Address, OperatorGuard: k.Operator.MinReplicas}
}

// OperatorSettings is the operator's guard on our Redis, as a run of it had it.
type OperatorSettings struct {
	RunID string // empty: not known yet
	MinReplicas
}

// Discover is the operator's guard once Redis and Consul have answered: what our predecessor noted of this run, or else what is
// set, or under a fence was.
func (o OperatorSettings) Discover(k Snapshot, id string) OperatorSettings {
	st := k.Health.Status
	if k.View.Index == 0 || st.RunID == "" || st.RunID == o.RunID {
		return o
	}
	if p, noted := k.View.LiveAgents[id]; noted && p.RunID == st.RunID {
		return OperatorSettings{st.RunID, p.OperatorGuard}
	}
	return OperatorSettings{st.RunID, MinReplicas{Replicas: st.MinReplicasUnfenced(), MaxLag: st.MaxLag}}
}

// Persisted tells whether the operator's guard stands in Consul, so that it is not lost with this process.
func (o OperatorSettings) Persisted(k Snapshot, id string) bool {
	p := k.View.LiveAgents[id]
	return o.RunID != "" && p.RunID == o.RunID && p.OperatorGuard == o.MinReplicas
}
