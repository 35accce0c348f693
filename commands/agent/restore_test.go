package agent

import (
	"testing"
	"time"

	"resec/commands/cluster"
	"resec/commands/known"
	"resec/commands/lock"
	"resec/scripts/lab"
)

// onServers is the agent of "me" with a real Redis and a lock of its own on the real Consul.
func onServers(t *testing.T) (*Agent, *lab.Redis) {
	t.Helper()
	a := onConsul(t)
	r := a.giveRedis(t)
	a.Me.Address = r.Addr
	a.surveyor.Creds, a.surveyor.Own = a.Creds, a.local.Status
	return a, r
}

// publish makes our Redis, with a guard, the published master under a session; and the agent know that.
func (a *Agent) publish(t *testing.T, s *lock.Session, holder string) known.Snapshot {
	t.Helper()
	m := master("me", status(t, a.local).RunID, 1)
	m.Address, m.Guard, m.MaxLag = a.Me.Address, 1, 4
	ok(t, a.local.SetGuard(t.Context(), status(t, a.local), cluster.MinReplicas{Replicas: 1, MaxLag: 4}, lasting(), time.Hour))
	k := known.Snapshot{}
	k.View = acquire(t, a, s, holder, m)
	k.Fresh, k.Probed, k.Health.Status = true, true, status(t, a.local)
	k.SetSession(s)
	k.Operator = cluster.OperatorSettings{RunID: m.RunID, MinReplicas: cluster.MinReplicas{MaxLag: 10}}
	a.known.Update(func(is *known.Snapshot) { *is = k })
	return k
}

// What a stop leaves of our Redis is what its operator had.
func TestRestore(t *testing.T) {
	t.Parallel()
	own := cluster.MinReplicas{MaxLag: 10}
	guard := cluster.MinReplicas{Replicas: 1, MaxLag: 4}
	for _, tt := range []struct {
		name    string
		prepare func(t *testing.T, a *Agent, s *lock.Session, r *lab.Redis)
		want    cluster.MinReplicas
		master  bool
		left    bool // the guard is left behind
	}{
		{"a master whose lock is lost and free", func(t *testing.T, a *Agent, s *lock.Session, _ *lab.Redis) {
			k := a.publish(t, s, "me")
			ok(t, a.Lock.Release(t.Context(), s.ID, k.View, ""))
			a.known.Update(func(k *known.Snapshot) { k.View.Session, k.View.Holder = "", "" })
		}, own, true, false},
		{"a master whose lock another member holds", func(t *testing.T, a *Agent, s *lock.Session, _ *lab.Redis) {
			a.publish(t, s, "b")
		}, guard, true, true},
		{"a replica", func(t *testing.T, a *Agent, s *lock.Session, r *lab.Redis) {
			k := a.publish(t, s, "me")
			ok(t, a.local.Park(t.Context()))
			a.known.Update(func(is *known.Snapshot) { *is = k; is.View.State.Master = nil })
		}, own, false, false},
		{"a fenced master that is not published", func(t *testing.T, a *Agent, s *lock.Session, r *lab.Redis) {
			a.publish(t, s, "me")
			ok(t, a.local.FenceAfterLoss(t.Context()))
			a.known.Update(func(k *known.Snapshot) { k.View.State.Master = nil })
		}, own, false, false},
		{"a master that is not published", func(t *testing.T, a *Agent, s *lock.Session, _ *lab.Redis) {
			a.publish(t, s, "me")
			a.known.Update(func(k *known.Snapshot) { k.View.State.Master = nil })
		}, guard, true, false},
		{"a new instance", func(t *testing.T, a *Agent, s *lock.Session, _ *lab.Redis) {
			a.publish(t, s, "me")
			a.known.Update(func(k *known.Snapshot) { k.Operator.RunID = "run-old" })
		}, guard, true, false},
		{"when all is done already", func(t *testing.T, a *Agent, s *lock.Session, r *lab.Redis) {
			a.publish(t, s, "me")
			_, err := r.Do("CONFIG", "SET", "min-replicas-to-write", "0", "min-replicas-max-lag", "10")
			ok(t, err)
		}, own, true, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			a, r := onServers(t)
			tt.prepare(t, a, session(t, a), r)
			c := newController(a)
			c.restore(t.Context())
			c.background.Wait()
			st := status(t, a.local)
			equal(t, "settings", cluster.MinReplicas{Replicas: st.MinReplicas, MaxLag: st.MaxLag}, tt.want)
			equal(t, "master", st.Master, tt.master)
			equal(t, "left behind", a.shutdown.guardLeftBehind.Load(), tt.left)
		})
	}
	t.Run("one that is down", func(t *testing.T) {
		a, r := onServers(t)
		a.publish(t, session(t, a), "me")
		r.Kill()
		newController(a).restore(t.Context())
		equal(t, "left behind", a.shutdown.guardLeftBehind.Load(), false)
	})
}
