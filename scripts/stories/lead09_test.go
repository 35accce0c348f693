package stories_test

import (
	"errors"
	"fmt"
	"testing"

	"resec/scripts/lab"
)

// The successor is lost while it takes over, or right after.
func TestLead09_SecondFailoverDuringTheFirst(t *testing.T) {
	t.Parallel()
	locked := func(k *lab.Cluster, i int) error { // the lock names another than the first master
		pair, _, err := k.Consul.Client.KV().Get(k.Name+"/.lock", nil)
		if err == nil && (pair == nil || pair.Session == "" || string(pair.Value) != fmt.Sprint("m", i)) {
			err = fmt.Errorf("m%d does not hold the lock", i)
		}
		return err
	}
	promoted := func(k *lab.Cluster, i int) error { return k.Redis[i].Is("role", "master") }
	for _, n := range []int{3, 5} {
		for i, v := range []struct {
			name       string
			when       func(*lab.Cluster, int) error
			redis, all bool // the successor's Redis dies; its agent dies
		}{
			{"killed when it has the lock", locked, true, false},
			{"killed with its agent when it has the lock", locked, true, true},
			{"only its agent is killed when it has the lock", locked, false, true},
			{"killed when it is promoted", promoted, true, false},
			{"killed with its agent when it is promoted", promoted, true, true},
			{"only its agent is killed when it is promoted", promoted, false, true},
		} {
			if (n == 3) == (i%2 == 0) && !*all {
				continue
			}
			t.Run(fmt.Sprintf("%d members, the successor is %s", n, v.name), func(t *testing.T) {
				t.Parallel()
				k := cluster(t, n)
				m := started(t, k)
				stored := wrote(t, k, m, keys{prefix: "stored", n: 1000})
				for _, i := range others(k, m) {
					keep(t, stored.n, k.Redis[i])
				}
				k.Redis[m].Kill()
				next := nobody
				lab.Eventually(t, patience, func() error {
					for _, i := range others(k, m) {
						if v.when(k, i) == nil {
							next = i
							return nil
						}
					}
					return errors.New("there is no successor yet")
				})
				if v.redis {
					k.Redis[next].Kill()
				}
				if v.all {
					k.Agents[next].Kill()
				}
				lab.Eventually(t, patience, func() error { // the rest continues
					_, err := k.Linked()
					return err
				})
				if v.redis {
					ok(t, k.Redis[next].Start())
				}
				if v.all {
					ok(t, k.Agent(next))
				}
				ok(t, k.Redis[m].Start())
				whole(t, k, stored)
				ok(t, k.Stop())
			})
		}
	}
}

// Of five the master is lost twice, then a third one.
func TestLead09_FiveMembers(t *testing.T) {
	t.Parallel()
	for _, agentToo := range []bool{false, true} {
		t.Run("killed"+named(agentToo, " with its agent"), func(t *testing.T) {
			t.Parallel()
			k := cluster(t, 5)
			m := started(t, k)
			var all []keys
			var dead []int
			for round := range 3 {
				all = append(all, wrote(t, k, m, keys{prefix: fmt.Sprint("round", round), n: 500}))
				dead = append(dead, m)
				k.Redis[m].Kill()
				if agentToo {
					k.Agents[m].Kill()
				}
				lab.Eventually(t, patience, func() (err error) { m, err = k.Linked(); return err })
				for _, s := range all {
					ok(t, s.on(k.Redis[m]))
				}
			}
			for _, i := range dead {
				ok(t, k.Redis[i].Start())
				if agentToo {
					ok(t, k.Agent(i))
				}
			}
			whole(t, k, all...)
			leads(t, k, m)
			ok(t, k.Stop())
		})
	}
}
