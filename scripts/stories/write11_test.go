package stories_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"resec/scripts/lab"
)

// An operator changes a guard, or what keeps it. In the end the cluster has recovered, no write was lost, and an agent that exits
// leaves nothing behind.
func TestWrite11_ByHand(t *testing.T) {
	t.Parallel()
	for _, v := range []struct {
		name string
		plan lab.Plan
		do   func(*testing.T, *lab.Cluster, int, *lab.Watch)
	}{
		{"the guard is set by hand", lab.Plan{Members: 3}, func(t *testing.T, k *lab.Cluster, m int, _ *lab.Watch) {
			for _, set := range [][]string{{"to-write", "0"}, {"to-write", "7"}, {"max-lag", "0"}, {"max-lag", "100"}} {
				do(t, k.Redis[m], "CONFIG", "SET", "min-replicas-"+set[0], set[1])
				lab.Eventually(t, patience, func() error {
					_, lag, err := minReplicas(k.Redis[m])
					if err == nil && lag != 5 {
						err = fmt.Errorf("min-replicas-max-lag is %d", lag)
					}
					return errors.Join(err, guarded(k, m, 1))
				})
			}
		}},
		{"the master is fenced by hand", lab.Plan{Members: 3}, func(t *testing.T, k *lab.Cluster, m int, _ *lab.Watch) {
			_, out, code, err := k.Run(m, "", "fence")
			if err != nil || code != 0 {
				t.Fatalf("fence: exit %d, %v: %s", code, err, out)
			}
			lab.Eventually(t, patience, func() error { return guarded(k, m, 1) })
		}},
		{"an unknown server replicates", lab.Plan{Members: 2}, func(t *testing.T, k *lab.Cluster, m int, _ *lab.Watch) {
			host := lab.Host()
			r, err := lab.ForTest(t).StartRedisAt("uninvited", host+":6379", "--replica-announce-ip", host, "--replicaof", k.Redis[m].Host, "6379")
			ok(t, err)
			lab.Eventually(t, patience, func() error { return r.Is("master_host", "127.0.0.1", "master_port", "1") })
		}},
		{"a guard of two", lab.Plan{Members: 3, Env: []string{"GUARD=2"}}, func(t *testing.T, k *lab.Cluster, m int, _ *lab.Watch) {
			lab.Eventually(t, patience, func() error { return guarded(k, m, 2) })
			k.Redis[others(k, m)[0]].Kill()
			lab.Eventually(t, patience, func() error { return guarded(k, m, 1) })
			ok(t, k.Redis[others(k, m)[0]].Restart())
			lab.Eventually(t, patience, func() error { return guarded(k, m, 2) })
		}},
		{"sessions are destroyed all the time", lab.Plan{Members: 3}, func(t *testing.T, k *lab.Cluster, _ int, w *lab.Watch) {
			throughout(t, 10*time.Second, seldom(func() error {
				p, _, err := k.Consul.Client.KV().Get(lockKey(k), nil)
				if err == nil && p != nil && p.Session != "" {
					_, err = k.Consul.Client.Session().Destroy(p.Session, nil)
				}
				return errors.Join(err, neverTwo(w)())
			}))
		}},
		{"the master's agent hangs", lab.Plan{Members: 3}, func(t *testing.T, k *lab.Cluster, m int, w *lab.Watch) {
			k.Agents[m].Freeze()
			succeeded(t, k, w, m)
			throughout(t, 5*time.Second, neverTwo(w))
			k.Agents[m].Thaw()
		}},
		{"the master's and another's agent leave together", lab.Plan{Members: 3}, func(t *testing.T, k *lab.Cluster, m int, _ *lab.Watch) {
			rest := others(k, m)
			terminate(t, map[*lab.Process]time.Duration{k.Agents[m]: 0, k.Agents[rest[0]]: 0})
			lab.Eventually(t, patience, func() error { _, err := k.Linked(); return err })
			leads(t, k, rest[1])
			ok(t, errors.Join(k.Agent(m), k.Agent(rest[0])))
		}},
	} {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			v.plan.StartParked = true
			k := planned(t, v.plan)
			m := started(t, k)
			w := watched(t, k)
			v.do(t, k, m, w)
			judgement, _ := judged(t, k, w)
			if err := errors.Join(judgement.NothingLost(), judgement.NeverTwo(0), judgement.NeverTwoListed(telling), unfenced(k)); err != nil {
				t.Error(err)
			}
			ok(t, k.Stop())
			for _, r := range k.Redis {
				if n, lag, err := minReplicas(r); err != nil || n != 0 || lag != 10 {
					t.Errorf("%s is left with %d replicas to write with, of %d s: %v", r.Name, n, lag, err)
				}
			}
		})
	}
}
