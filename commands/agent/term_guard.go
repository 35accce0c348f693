package agent

import (
	"context"
	"errors"
	"time"

	"resec/commands/cluster"
	"resec/commands/failpoint"
	"resec/commands/known"
	"resec/commands/localredis"
	"resec/commands/lock"
	"resec/commands/logonce"
	"resec/handlers/redis"
)

// guardInterval is how often the guard is checked: Redis itself checks the lag of its replicas once a second. After a
// replica's connection has ended it is alertInterval, for alertPeriod: Redis may notice that a little later than we do.
const guardInterval, alertInterval, alertPeriod = time.Second, 5 * time.Millisecond, 200 * time.Millisecond

// guardKeeper keeps the guard of our Redis for as long as a term lasts. Meanwhile it alone sets the guard. One command is under
// way at a time, and each is decided by what Redis says just before it. A command that timed out has been executed, or never will
// be, before the next one: a Redis that resumes reads its old connections first.
type guardKeeper struct {
	t       *leaderTerm
	unknown cluster.UnknownReplicas
	silent  bool      // Redis did not answer the last step, so nothing new is known of its replicas
	alert   time.Time // until then the guard is checked often
	logged  logonce.Once
}

func (t *leaderTerm) keepGuard(ctx context.Context) {
	g := &guardKeeper{t: t, unknown: cluster.UnknownReplicas{Count: -1}}
	for ctx.Err() == nil {
		k, changed := t.a.known.Watch()
		if k.View.State.Term() == t.term.Number && k.Operator.Persisted(k.Snapshot, t.a.Me.ID) && g.step(ctx, k) {
			continue
		}
		select {
		case <-ctx.Done():
		case <-changed:
		case <-t.replicaLost:
			g.alert = time.Now().Add(alertPeriod)
		case <-time.After(g.interval()):
		}
	}
}

// interval is how long to wait for a change before the guard is checked again.
func (g *guardKeeper) interval() time.Duration {
	switch {
	case time.Now().Before(g.alert):
		return alertInterval
	case !g.unknown.Since.IsZero() && !g.silent:
		return cluster.UnknownReplicaGrace / 3
	}
	return guardInterval
}

// step takes one step towards the guard as it should be, and reports whether it took one. Its errors are logged.
func (g *guardKeeper) step(ctx context.Context, k known.Snapshot) (moved bool) {
	moved, err := g.tryStep(ctx, k)
	if moved {
		g.logged.Reset()
		return true
	}
	ended := ctx.Err() != nil && !errors.Is(err, localredis.ErrStalled)
	if err == nil || ended || errors.Is(err, lock.ErrChanged) || errors.Is(err, localredis.ErrChangedMeanwhile) {
		return false
	}
	if g.logged.Changed(lock.ErrorKind(err)) {
		g.t.a.Log.Warn("cannot keep the guard, retrying", "event", "guard_failed", "redis", g.t.a.local.Addr(), "err", err)
	}
	return false
}

func (g *guardKeeper) tryStep(ctx context.Context, k known.Snapshot) (moved bool, err error) {
	a := g.t.a
	st, err := a.local.Status(ctx)
	g.silent = err != nil
	if err != nil || !st.Master || st.RunID != g.t.term.RunID {
		return false, err
	}
	if cluster.ReplicaFingerprint(st) != cluster.ReplicaFingerprint(k.Health.Status) {
		a.local.ProbeSoon() // a new one may be no member
		a.links.probeAll()
	}
	if st.Refusing() != k.Health.Status.Refusing() { // a probe comes later, and clients wait
		a.local.ProbeSoon()
	}
	members, unknown := cluster.CountReplicas(st, k.View, a.Me.ID, a.links.streams, a.Guard)
	g.unknown = g.unknown.Observe(unknown, time.Now())
	guard := a.guardState(k, st, members, g.unknown.Count)
	step, to := guard.NextStep()
	if errors.Is(k.View.Err, cluster.ErrNewerVersion) { // the state must not be written
		step, to = guard.RestoreStep()
	}
	recorded, unrecorded := g.record(k, guard)
	switch {
	case step == cluster.GuardPublish:
		err = g.publish(ctx, k, recorded.WithGuard(to))
		failpoint.Hit("guard-published")
		return err == nil, err
	case unrecorded:
		err = g.publish(ctx, k, recorded)
		if err == nil || step != cluster.GuardSet || errors.Is(err, lock.ErrChanged) {
			return err == nil, err
		}
	}
	if step == cluster.GuardSet { // also if Consul does not answer
		return g.set(ctx, k, st, to, guard)
	}
	return false, nil
}

// guardState is what the guard of our Redis depends on.
func (a *Agent) guardState(k known.Snapshot, st redis.Status, members, unknown int) cluster.GuardState {
	return cluster.GuardState{Policy: a.Guard, OperatorGuard: k.Operator.MinReplicas, Members: k.View.State.MemberCount(a.Me.ID),
		Attached: members, UnknownReplicas: unknown, PassiveReplicas: cluster.PassiveReplicas(st, a.Guard),
		Published: k.View.State.Guard(), Set: cluster.MinReplicas{Replicas: st.MinReplicas, MaxLag: st.MaxLag}}
}

// record returns the state in which the guard to be set is recorded as ours, and whether it has to be written before that. An
// outage of Consul, or a state that must not be written, does not keep the guard from being set.
func (g *guardKeeper) record(k known.Snapshot, guard cluster.GuardState) (recorded cluster.State, unrecorded bool) {
	_, set := guard.Desired()
	id, own, s := g.t.a.Me.ID, guard.OperatorGuard, k.View.State
	writable := !k.ConsulDown && !errors.Is(k.View.Err, cluster.ErrNewerVersion)
	return s.WithGuardRecorded(id, own, set), writable && s.GuardUnrecorded(id, own, set)
}

// publish writes the state, and with it confirms that the lock is ours.
func (g *guardKeeper) publish(ctx context.Context, k known.Snapshot, s cluster.State) error {
	v, err := g.t.a.Lock.Write(ctx, g.t.term.Session, k.View, s)
	if err == nil {
		g.t.a.observer.Wrote(v)
	}
	return err
}

// set sets the guard on Redis. Before it unfences our Redis, Consul must confirm that the lock is ours: a challenger that holds
// it has fenced our Redis rightly.
func (g *guardKeeper) set(ctx context.Context, k known.Snapshot, st redis.Status, to cluster.MinReplicas,
	was cluster.GuardState) (bool, error) {
	a := g.t.a
	if st.Fenced() {
		if err := g.publish(ctx, k, k.View.State); err != nil {
			return false, err
		}
	}
	if err := a.local.SetGuard(ctx, st, to, g.t.session.Lease, a.stallLimit()); err != nil {
		return false, err
	}
	failpoint.Hit("guard-set")
	if st.Fenced() {
		a.Log.Warn("redis was fenced while it is the master; it is unfenced because consul confirms the lock",
			"event", "master_unfenced", "redis", a.local.Addr(), "term", g.t.term.Number)
	}
	a.Log.Info("guard is set", "event", "guard_set", "redis", a.local.Addr(), "min_replicas", to.Replicas, "max_lag", to.MaxLag,
		"was", was.Set.Replicas, "members", was.Members, "attached", was.Attached, "unknown_replicas", was.UnknownReplicas)
	return true, nil
}
