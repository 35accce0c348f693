package elect

import (
	"context"

	"resec/commands/lock"
	"resec/handlers/redis"
)

// stands is the guard of a master that goes on as it is.
func (t Takeover) stands(own redis.Status) lock.Setting {
	if !t.Record || t.Guard.Replicas == lock.GuardOff {
		return lock.Setting{Replicas: lock.GuardOff}
	}
	return lock.Setting{Replicas: max(0, own.MinReplicas-t.Beside), MaxLag: own.MaxLag}.Bound()
}

// guard is the one that a new master begins with: those whom we parked are about to attach, unless they need a full sync.
func (p *passage) guard(v lock.View, own redis.Status) (published, set lock.Setting) {
	if !p.Record {
		return lock.Setting{Replicas: lock.GuardOff}, lock.Setting{Replicas: own.Unfenced(), MaxLag: own.MaxLag}
	}
	g := lock.Guarding{Policy: p.Guard, Own: p.Own, Members: v.State.Size(p.Me.ID)}
	for _, m := range p.sealed {
		if m.err == nil && m.status.Position.Precedes(own.Position) {
			g.Attached++
		}
	}
	return g.Want()
}

// publish writes us as the master of the next term.
func (t Takeover) publish(ctx context.Context, v lock.View, st redis.Status, guard lock.Setting) (lock.View, error) {
	me := t.Me
	me.RunID, me.Guard, me.MaxLag = st.RunID, guard.Replicas, guard.MaxLag
	if m := v.State.Master; t.Force != nil {
		me.Overrule = t.Force.Overrule
	} else if m != nil && t.Plan == nil && m.RunID == st.RunID {
		me.Overrule = m.Overrule
	}
	s := v.State.Publish(me, st.Position)
	s.Service = t.Service
	if t.Record {
		s = s.Lead()
	}
	demote, known := t.Demotion.ops(ctx)
	v, done, err := t.Lock.Publish(ctx, t.Session.ID, v, s, t.Force != nil || t.Plan != nil, demote)
	if known {
		t.Demotion.Done = err == nil && done
	}
	return v, err
}
