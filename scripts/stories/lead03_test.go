package stories_test

import (
	"os"
	"path/filepath"
	"testing"

	"resec/scripts/lab"
)

// What a supervisor does: the master is back within a second, and it is empty, or has what a sync left on its disk.
func TestLead03_MasterRestartedEmptyAtOnce(t *testing.T) {
	t.Parallel()
	for _, delay := range []string{"0", "5"} {
		for _, leftover := range []bool{false, true} {
			for _, agentToo := range []bool{false, true} {
				for _, parked := range []bool{false, true} {
					if parked == (agentToo == (delay == "0")) && !*all {
						continue
					}
					name := "delay " + delay + named(leftover, " an old dump") + named(agentToo, " agent too") + named(parked, " started parked")
					t.Run(name, func(t *testing.T) {
						t.Parallel()
						args := []string{"--repl-diskless-sync-delay", delay, "--repl-diskless-sync", "yes"}
						if leftover {
							args[3] = "no" // the master writes a dump for its replicas' first sync, and keeps it
						}
						if parked {
							args = append(args, bornParked...)
						}
						restartedEmpty(t, cluster(t, 3, args...), leftover, agentToo)
					})
				}
			}
		}
	}
}

func restartedEmpty(t *testing.T, k *lab.Cluster, leftover, agentToo bool) {
	ok(t, k.Agent(0))
	published(t, k, 0)
	old := keys{prefix: "old", n: 100}
	ok(t, old.write(k.Redis[0])) // this is what the dump will have
	m := started(t, k)
	recent := wrote(t, k, m, keys{prefix: "recent", n: 1000})
	if _, err := os.Stat(filepath.Join(k.Redis[m].Dir, "dump.rdb")); (err == nil) != leftover {
		t.Fatalf("the master's dump: %v", err)
	}
	for _, i := range others(k, m) {
		keep(t, 1100, k.Redis[i])
	}
	if agentToo {
		kill(k.Redis[m].Process, k.Agents[m])
	} else {
		k.Redis[m].Kill()
	}
	ok(t, k.Redis[m].Start())
	if agentToo {
		ok(t, k.Agent(m))
	}
	whole(t, k, old, recent)
	if now, err := k.Master(); err != nil || now == m {
		t.Errorf("the one that was restarted is the master: %v", err)
	}
	ok(t, k.Stop())
}
