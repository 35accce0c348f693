package stories_test

import (
	"errors"
	"testing"
	"time"

	"resec/scripts/lab"
)

// bulk is what the first full sync carries: 100 MB, and in a soak 1 GB.
func bulk() keys {
	k := keys{prefix: "large", n: 1000, size: 100_000}
	if *all {
		k.size = 1_000_000
	}
	return k
}

// heavy makes a story of the bulk parallel, unless that takes memory.
func heavy(t *testing.T) {
	if !*all {
		t.Parallel()
	}
}

// The master is killed while the only other copy is in its first full sync: that one has nothing to lead with.
func TestLead08_OnlyCopyIsSyncing(t *testing.T) {
	heavy(t)
	k := large(t, 2, false)
	syncing(t, k, 1)
	k.Redis[0].Kill()
	saysWhy(t, k, 1, "has not caught up")
	throughout(t, 8*time.Second, func() error { // longer than it takes to see that there is no other member
		return k.Redis[1].Is("role", "slave")
	})
	saysWhy(t, k, 1, "has not caught up")
	if out, _, code, err := k.Run(1, "", "status"); err != nil || code != 2 {
		t.Errorf("resec status ended with %d: %v\n%s", code, err, out)
	}
	ok(t, k.Stop())
}

// And then the master comes back with its dump: it leads again, and what it has is on both.
func TestLead08_OnlyCopyIsSyncingAndTheMasterIsBack(t *testing.T) {
	heavy(t)
	for _, parked := range []bool{false, true} {
		for _, agentToo := range []bool{false, true} {
			t.Run("at once"+named(agentToo, ", its agent too")+named(parked, ", started parked"), func(t *testing.T) {
				heavy(t)
				k := large(t, 2, parked)
				do(t, k.Redis[0], "BGSAVE")
				lab.Eventually(t, patience, func() error { return k.Redis[0].Is("rdb_bgsave_in_progress", "0", "rdb_last_bgsave_status", "ok") })
				syncing(t, k, 1)
				if agentToo {
					kill(k.Redis[0].Process, k.Agents[0])
				} else {
					k.Redis[0].Kill()
				}
				ok(t, k.Redis[0].Start())
				if agentToo {
					ok(t, k.Agent(0))
				}
				lab.Eventually(t, patience, func() error {
					if k.Redis[1].Is("role", "master") == nil {
						t.Fatal("what never caught up was promoted")
					}
					return k.Redis[1].Follows(k.Redis[0])
				})
				whole(t, k, bulk())
				leads(t, k, 0)
				ok(t, k.Stop())
			})
		}
	}
}

// With a third that is linked, that one leads, and the other gets everything from it.
func TestLead08_AnotherCopyIsLinked(t *testing.T) {
	heavy(t)
	for _, agentToo := range []bool{false, true} {
		t.Run("the master killed"+named(agentToo, " with its agent"), func(t *testing.T) {
			heavy(t)
			k := large(t, 3, false)
			ok(t, k.Agent(0))
			ok(t, k.Agent(2))
			published(t, k, 0)
			lab.Eventually(t, patience, func() error {
				return errors.Join(k.Redis[2].Follows(k.Redis[0]), caughtUp(k, "m2"))
			})
			syncing(t, k, 1)
			keep(t, bulk().n, k.Redis[2])
			k.Redis[0].Kill()
			if agentToo {
				k.Agents[0].Kill()
			}
			lab.Eventually(t, patience, func() error { return k.Redis[1].Follows(k.Redis[2]) })
			ok(t, k.Redis[0].Start())
			if agentToo {
				ok(t, k.Agent(0))
			}
			whole(t, k, bulk())
			leads(t, k, 2)
			ok(t, k.Stop())
		})
	}
}

// large is a cluster whose first Redis has a lot.
func large(t *testing.T, n int, parked bool) *lab.Cluster {
	t.Helper()
	// A server that forks, or syncs such a file with its disk, does not answer for a while.
	k := planned(t, lab.Plan{Members: n, StartParked: parked, RedisArgs: []string{"--rdbcompression", "no"}, Env: []string{"HEALTHCHECK_INTERVAL=4s", "HEALTHCHECK_TIMEOUT=3s"}})
	had(t, k.Redis[0], bulk())
	return k
}

// syncing starts the agents that are not there yet, and returns amid the i-th Redis' first full sync.
func syncing(t *testing.T, k *lab.Cluster, i int) {
	t.Helper()
	do(t, k.Redis[0], "CONFIG", "SET", "rdb-key-save-delay", "20000") // µs a key: it takes 20 s
	for n := range k.Redis {
		if k.Agents[n] == nil {
			ok(t, k.Agent(n))
		}
	}
	lab.Eventually(t, patience, func() error { return k.Redis[i].Is("role", "slave", "master_sync_in_progress", "1") })
	lab.Eventually(t, patience, func() error { // and it has begun
		v, err := k.Redis[i].Info("master_sync_read_bytes")
		if err == nil && (v == "" || v == "0") {
			err = errors.New("nothing has been received yet")
		}
		return err
	})
}
