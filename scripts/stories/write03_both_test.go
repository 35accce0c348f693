package stories_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"resec/scripts/lab"
)

// Both agents of a cluster of two are stopped, one a little after the other: one Redis stays writable, whatever the one
// was just doing for the other, and nothing of ours is left on either.
func TestWrite03_BothLeave(t *testing.T) {
	t.Parallel()
	for i, first := range []time.Duration{0, 3, 8, 13, 18, 23, 28, 33, 45, 60} {
		if i%3 != 0 && !*all {
			continue
		}
		apart := first * time.Millisecond
		t.Run(fmt.Sprint(apart), func(t *testing.T) {
			t.Parallel()
			k := planned(t, lab.Plan{Members: 2, StartParked: true})
			m := started(t, k)
			for round := range 4 {
				w := watched(t, k)
				terminate(t, map[*lab.Process]time.Duration{k.Agents[m]: 0, k.Agents[others(k, m)[0]]: apart + time.Duration(round)*time.Millisecond})
				alone(t, k)
				ok(t, errors.Join(k.Agent(m), k.Agent(others(k, m)[0])))
				lab.Eventually(t, patience, func() error { return held(k) }) // the first one may take over
				var v lab.Verdict
				if v, m = judged(t, k, w); errors.Join(v.NothingLost(), v.NeverTwo(0), v.NeverTwoListed(telling)) != nil {
					t.Error(v)
				}
				w.Stop()
			}
			ok(t, k.Stop())
		})
	}
}

// alone fails the test if not exactly one Redis accepts writes, or if one has a guard that its operator did not set.
func alone(t *testing.T, k *lab.Cluster) {
	t.Helper()
	open := 0
	for _, r := range k.Redis {
		if _, err := r.Do("DEL", "nothing"); err == nil {
			open++
		}
		if n, lag, err := minReplicas(r); err != nil || n != 0 || lag != 10 {
			t.Errorf("%s is left with %d replicas to write with, of %d s: %v", r.Name, n, lag, err)
		}
	}
	if open != 1 {
		t.Errorf("%d accept writes once all agents have left", open)
	}
}

// held returns nil if the lock is held, and by the published master.
func held(k *lab.Cluster) error {
	p, _, err := k.Consul.Client.KV().Get(lockKey(k), nil)
	if err != nil || p == nil || p.Session == "" {
		return fmt.Errorf("the lock is free: %v", err)
	}
	m, err := k.Master()
	if err == nil && string(p.Value) != fmt.Sprint("m", m) {
		err = fmt.Errorf("%s holds the lock, and the master is %d", p.Value, m)
	}
	return err
}
