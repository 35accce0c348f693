package stories_test

import (
	"errors"
	"testing"
	"time"

	"resec/scripts/lab"
)

// Of two members the replica dies: the guard closes at once, and is lowered at once. With the replica it is back.
func TestWrite08_ReplicaKilled(t *testing.T) {
	t.Parallel()
	k := planned(t, lab.Plan{Members: 2, StartParked: true})
	m := started(t, k)
	lab.Eventually(t, patience, func() error { return guarded(k, m, 1) })
	fig, w := figures(t), watched(t, k)
	fig.consul(k)
	neverBelow(t, k)
	k.Redis[1-m].Kill()
	lab.Eventually(t, patience, func() error { return errors.Join(guarded(k, m, 0), k.Redis[m].IsMaster(0)) })
	throughout(t, 8*time.Second, func() error { return errors.Join(guarded(k, m, 0), k.Redis[m].IsMaster(0)) })
	backAsReplica(t, k, m, k.Redis[1-m].Restart, fig, w)
}

// Of two members the replica is unreachable: the guard is lowered before its lag closes it.
func TestWrite08_ReplicaFrozen(t *testing.T) {
	t.Parallel()
	k := planned(t, lab.Plan{Members: 2, StartParked: true})
	m := started(t, k)
	lab.Eventually(t, patience, func() error { return guarded(k, m, 1) })
	fig, w := figures(t), watched(t, k)
	neverBelow(t, k)
	k.Redis[1-m].Freeze()
	throughout(t, 20*time.Second, seldom(func() error { return k.Redis[m].Is("role", "master") }))
	ok(t, errors.Join(guarded(k, m, 0), notRefused(w)))
	backAsReplica(t, k, m, func() error { k.Redis[1-m].Thaw(); return nil }, fig, w)
	ok(t, notRefused(w))
}

// backAsReplica brings the replica back, and the guard with it.
func backAsReplica(t *testing.T, k *lab.Cluster, m int, back func() error, fig *noise, w *lab.Watch) {
	t.Helper()
	ok(t, back())
	whole(t, k)
	lab.Eventually(t, patience, func() error { return guarded(k, m, 1) })
	v := w.Verdict(30 * time.Second)
	t.Log(v)
	fig.within("write pause", pause(w), 100*time.Millisecond)
	ok(t, v.Sound())
	leads(t, k, m)
	ok(t, k.Stop())
}

// Without Consul the guard cannot be lowered: the master of two refuses writes until Consul is back, not until the replica is.
func TestWrite08_ReplicaKilledWhileConsulIsAway(t *testing.T) {
	t.Parallel()
	for _, clients := range []bool{false, true} {
		t.Run("alone"+named(clients, " with client agents"), func(t *testing.T) {
			t.Parallel()
			k := planned(t, lab.Plan{Members: 2, StartParked: true, Servers: 1, Clients: clients})
			m := started(t, k)
			lab.Eventually(t, patience, func() error { return guarded(k, m, 1) })
			fig, w := figures(t), watched(t, k)
			k.Servers[0].Kill()
			dead := time.Now()
			k.Redis[1-m].Kill()
			lab.Eventually(t, patience, func() error { return closed(k.Redis[m]) })
			fig.within("guard closes", time.Since(dead), 6*time.Second)
			throughout(t, 8*time.Second, func() error { return closed(k.Redis[m]) })
			ok(t, k.Servers[0].Restart())
			lab.Eventually(t, patience, k.Rejoin) // by themselves Consul's agents look for a failed one each 30 s
			back := time.Now()
			lab.Eventually(t, patience, func() error { return k.Redis[m].IsMaster(0) })
			fig.within("open again", time.Since(back), 10*time.Second)
			lab.Eventually(t, patience, func() error { return guarded(k, m, 0) })
			ok(t, k.Redis[1-m].Restart())
			whole(t, k)
			lab.Eventually(t, patience, func() error { return guarded(k, m, 1) })
			v := w.Verdict(30 * time.Second)
			t.Log(v)
			ok(t, v.Sound())
			leads(t, k, m)
			ok(t, k.Stop())
		})
	}
}
