package stories_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"resec/scripts/lab"
)

// The last agent exits, and no member can take over: Redis continues with the operator's settings, and nothing is left in Consul.
func TestWrite03_LastOneLeaves(t *testing.T) {
	t.Parallel()
	for _, v := range []struct {
		name         string
		n            int
		replicas     int // min-replicas-to-write of the operator
		lag          int // min-replicas-max-lag
		replicaFirst bool
	}{
		{"alone", 1, 0, 10, false},
		{"alone, with a lag of its own", 1, 0, 7, false},
		{"after the master", 2, 0, 10, false},
		{"after the replica", 2, 0, 10, true},
		{"after the master, with a guard of their own", 2, 1, 7, false},
		{"after the replica, with a guard of their own", 2, 1, 7, true},
	} {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			k := planned(t, lab.Plan{Members: v.n, StartParked: true,
				RedisArgs: []string{"--min-replicas-to-write", fmt.Sprint(v.replicas), "--min-replicas-max-lag", fmt.Sprint(v.lag)}})
			k.Env = append(k.Env, "CONSUL_LOCK_SESSION_NAME="+k.Name)
			m := started(t, k)
			fig, w := figures(t), watched(t, k)
			order := append([]int{m}, others(k, m)...)
			if v.replicaFirst {
				order = []int{1 - m, m}
			}
			for _, i := range order {
				terminate(t, map[*lab.Process]time.Duration{k.Agents[i]: 0})
			}
			last := order[v.n-1]
			lab.Eventually(t, patience, func() error { return k.Redis[last].IsMaster(v.n - 1) })
			fig.within("write pause", pause(w), 500*time.Millisecond)
			leaderless(t, w)
			for _, r := range k.Redis {
				left(t, r, v.replicas, v.lag)
			}
			gone := time.Now()
			lab.Eventually(t, patience, func() error { return nothingOf(k) })
			fig.within("left in consul", time.Since(gone), time.Second) // the Consul agent syncs to its servers a little later
		})
	}
}

// left fails the test if a Redis whose agent has exited does not have its operator's min-replicas-to-write and -max-lag.
func left(t *testing.T, r *lab.Redis, toWrite, maxLag int) {
	t.Helper()
	if n, lag, err := minReplicas(r); err != nil || n != toWrite || lag != maxLag {
		t.Errorf("%s is left with min-replicas-to-write %d and max-lag %d, not %d and %d: %v", r.Name, n, lag, toWrite, maxLag, err)
	}
}

// leaderless ends the watching of a cluster that no agent leads any more, and fails the test if a write was lost.
func leaderless(t *testing.T, w *lab.Watch) {
	t.Helper()
	v := w.Verdict(0) // the catalogue is empty: it cannot settle
	t.Log(v)
	if err := errors.Join(v.NothingLost(), v.NeverTwo(0), v.NeverTwoListed(0)); err != nil {
		t.Error(err)
	}
}

// nothingOf returns nil if Consul has no session, lock, service or presence of a cluster. Its sessions have its name.
func nothingOf(k *lab.Cluster) error {
	var errs []error
	sessions, _, err := k.Consul.Client.Session().List(nil)
	errs = append(errs, err)
	for _, s := range sessions {
		if s.Name == k.Name {
			errs = append(errs, fmt.Errorf("session %s is left", s.ID))
		}
	}
	pairs, _, err := k.Consul.Client.KV().List(lockKey(k), nil)
	errs = append(errs, err)
	for _, p := range pairs {
		if p.Session != "" || strings.Contains(p.Key, "/members/") {
			errs = append(errs, fmt.Errorf("%s is left, session %q: %s", p.Key, p.Session, p.Value))
		}
	}
	for _, role := range []string{"-master", "-slave"} {
		entries, err := k.Entries(k.Name+role, "")
		errs = append(errs, err)
		for _, e := range entries {
			errs = append(errs, fmt.Errorf("service %s is left", e.Service.ID))
		}
	}
	return errors.Join(errs...)
}

// The only other Redis is dead when the master's agent exits: there is no successor, and writes continue.
func TestWrite03_NobodyCanFollowHim(t *testing.T) {
	t.Parallel()
	for _, atOnce := range []bool{false, true} {
		t.Run("the replica is dead"+named(atOnce, " for a moment"), func(t *testing.T) {
			t.Parallel()
			k := planned(t, lab.Plan{Members: 2, StartParked: true})
			m := started(t, k)
			fig, w := figures(t), watched(t, k)
			k.Redis[1-m].Kill()
			if !atOnce {
				lab.Eventually(t, patience, func() error { return errors.Join(k.Redis[m].IsMaster(0), guarded(k, m, 0)) })
			}
			terminate(t, map[*lab.Process]time.Duration{k.Agents[m]: 0})
			lab.Eventually(t, patience, func() error { return k.Redis[m].IsMaster(0) })
			throughout(t, 3*time.Second, func() error { return k.Redis[m].IsMaster(0) })
			fig.within("write pause", pause(w), 500*time.Millisecond)
			leaderless(t, w)
			ok(t, errors.Join(k.Agent(m), k.Redis[1-m].Restart()))
			whole(t, k)
			leads(t, k, m)
			ok(t, k.Stop())
		})
	}
}
