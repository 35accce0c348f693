package takeover

import (
	"context"

	"resec/commands/cluster"
	"resec/commands/lock"
	"resec/handlers/redis"
)

// Publish writes our Redis as the master of the next term, and returns the view with it. It returns lock.ErrChanged if our
// session does not hold the lock or the state has changed, and lock.ErrDenied if the token does not suffice.
func (t Takeover) Publish(ctx context.Context, v cluster.View, st redis.Status, guard cluster.MinReplicas) (cluster.View, error) {
	s := v.State.WithMaster(t.published(v.State.Master, st, guard), st.Position)
	s.Service = t.Self.Service
	if t.Peers.KeepMembers {
		s = s.WithMasterRecorded()
	}
	if t.Self.OperatorKnown {
		s = s.WithGuardRecorded(t.Self.Me.ID, t.Self.OperatorGuard, guard)
	}
	demote, known := t.CatalogDemotion.ops(ctx)
	out, err := t.Lock.Publish(ctx, t.Session.ID, v, lock.Publication{State: s, EndRequest: t.Operator.requested(), Also: demote})
	if known {
		t.CatalogDemotion.Applied = err == nil && out.AlsoApplied
	}
	return out.View, err
}

// published returns our Redis as it is published. A master that continues without a switchover keeps the members that an
// operator forces to follow it.
func (t Takeover) published(old *cluster.Master, st redis.Status, guard cluster.MinReplicas) cluster.Master {
	me := t.Self.Me
	me.RunID, me.Guard, me.MaxLag = st.RunID, guard.Replicas, guard.MaxLag
	if t.Operator.forced() {
		me.ForceFollow = t.Operator.ForcedFailover.ForceFollow
	} else if old != nil && t.Operator.Switchover == nil && old.RunID == st.RunID {
		me.ForceFollow = old.ForceFollow
	}
	return me
}
