package agent

import (
	"context"
	"time"

	"resec/commands/cluster"
	"resec/commands/failpoint"
)

// rewriteAfter is how long a view may take to show what we said. No index tells whether it should: Consul's falls when it has
// lost its data.
const rewriteAfter = time.Second

// keepMemberKey says in Consul, under our session, which run of Redis we stand beside and where: so the master's agent
// knows whom to record, and a holder to whom the lock can be passed. With it stands what the operator had set before we
// changed anything, for whoever is this member's agent next.
func (a *Agent) keepMemberKey(ctx context.Context) {
	var said cluster.MemberKey
	var at time.Time
	ours := false // the key, or it may be
	defer func() {
		if !ours || a.guardLeftBehind.Load() { // whoever comes next is to know what the operator had
			return
		}
		bye, cancel := context.WithTimeout(context.WithoutCancel(ctx), a.finalCallTimeout())
		defer cancel()
		if err := a.Lock.DeleteMember(bye, a.Me.ID); err != nil {
			a.Log.Warn("the member's key is left", "err", err)
		}
	}()
	for ctx.Err() == nil {
		k, changed := a.known.Watch()
		if mine := k.operator.discover(k, a.Me.ID); mine != k.operator {
			a.known.Update(func(k *snapshot) { k.operator = mine })
			continue
		}
		var again <-chan time.Time
		say := memberKey(k, a.Me)
		ours = ours || say.Session != "" && k.view.LiveAgents[a.Me.ID].Session == say.Session // our predecessor's, whose session we have
		if say.Session != "" && k.view.Index != 0 && k.view.LiveAgents[a.Me.ID] != say {
			if say != said || time.Since(at) >= rewriteAfter {
				said, at, ours = say, time.Now(), true
				if err := a.Lock.PutMember(context.WithoutCancel(ctx), say); err != nil {
					a.Log.Debug("our presence could not be said", "err", err)
					signal(a.verifySession) // the session may be gone
				} else {
					failpoint.Hit("joined")
				}
			}
			again = time.After(rewriteAfter - time.Since(at))
		}
		select {
		case <-ctx.Done():
		case <-changed:
		case <-again:
		}
	}
}

// memberKey is what is to be said; without a session nothing.
func memberKey(k snapshot, me cluster.Master) cluster.MemberKey {
	if k.session == nil || k.health.Status.RunID == "" || k.operator.run != k.health.Status.RunID {
		return cluster.MemberKey{}
	}
	return cluster.MemberKey{Session: k.session.ID, RunID: k.health.Status.RunID, Address: me.Address, OperatorGuard: k.operator.MinReplicas}
}

// operatorSettings is the operator's guard on our Redis, as a run of it had it.
type operatorSettings struct {
	run string // empty: not known yet
	cluster.MinReplicas
}

// discover is the operator's guard once Redis and Consul have answered: what our predecessor noted of this run, or else what is
// set, or under a fence was.
func (o operatorSettings) discover(k snapshot, id string) operatorSettings {
	st := k.health.Status
	if k.view.Index == 0 || st.RunID == "" || st.RunID == o.run {
		return o
	}
	if p, noted := k.view.LiveAgents[id]; noted && p.RunID == st.RunID {
		return operatorSettings{st.RunID, p.OperatorGuard}
	}
	return operatorSettings{st.RunID, cluster.MinReplicas{Replicas: st.MinReplicasUnfenced(), MaxLag: st.MaxLag}}
}

// persisted tells whether the operator's guard stands in Consul, so that it is not lost with this process.
func (o operatorSettings) persisted(k snapshot, id string) bool {
	p := k.view.LiveAgents[id]
	return o.run != "" && p.RunID == o.run && p.OperatorGuard == o.MinReplicas
}
