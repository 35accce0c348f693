package takeover

import (
	"context"

	"resec/commands/cluster"
	"resec/commands/lock"
	"resec/handlers/redis"
)

// currentGuard is the guard of a master that goes on as it is.
func (t Takeover) currentGuard(own redis.Status) cluster.MinReplicas {
	if !t.KeepMembers || t.Guard.Replicas == cluster.GuardOff {
		return cluster.MinReplicas{Replicas: cluster.GuardOff}
	}
	return cluster.MinReplicas{Replicas: max(0, own.MinReplicas-t.UncountedReplicas), MaxLag: own.MaxLag}.Effective()
}

// initialGuard is the one that a new master begins with: those whom we parked are about to attach, unless they need a full sync.
func (p *run) initialGuard(v cluster.View, own redis.Status) (published, set cluster.MinReplicas) {
	if !p.KeepMembers {
		return cluster.MinReplicas{Replicas: cluster.GuardOff}, cluster.MinReplicas{Replicas: own.MinReplicasUnfenced(), MaxLag: own.MaxLag}
	}
	g := cluster.GuardState{Policy: p.Guard, OperatorGuard: p.OperatorGuard, Members: v.State.MemberCount(p.Me.ID)}
	for _, m := range p.parked {
		if m.err == nil && m.status.Position.IsAncestorOf(own.Position) {
			g.Attached++
		}
	}
	return g.Desired()
}

// Publish writes us as the master of the next term.
func (t Takeover) Publish(ctx context.Context, v cluster.View, st redis.Status, guard cluster.MinReplicas) (cluster.View, error) {
	me := t.Me
	me.RunID, me.Guard, me.MaxLag = st.RunID, guard.Replicas, guard.MaxLag
	if m := v.State.Master; t.ForcedFailover != nil {
		me.ForceFollow = t.ForcedFailover.ForceFollow
	} else if m != nil && t.Switchover == nil && m.RunID == st.RunID {
		me.ForceFollow = m.ForceFollow
	}
	s := v.State.WithMaster(me, st.Position)
	s.Service = t.Service
	if t.KeepMembers {
		s = s.WithMasterRecorded()
	}
	demote, known := t.Demotion.ops(ctx)
	out, err := t.Lock.Publish(ctx, t.Session.ID, v, lock.Publication{State: s, EndRequest: t.ForcedFailover != nil || t.Switchover != nil, Also: demote})
	if known {
		t.Demotion.Applied = err == nil && out.AlsoApplied
	}
	return out.View, err
}
