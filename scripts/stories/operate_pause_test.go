package stories_test

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"resec/scripts/lab"
)

// command runs a subcommand that must be done, and returns what it says.
func command(t *testing.T, k *lab.Cluster, args ...string) string {
	t.Helper()
	out, stderr, code, err := k.Run(0, "", args...)
	if err != nil || code != 0 {
		t.Fatalf("%s: exit %d %v\n%s%s", args, code, err, out, stderr)
	}
	return out
}

// heardOfIt waits until every agent knows of a pause.
func heardOfIt(t *testing.T, k *lab.Cluster) {
	t.Helper()
	for _, a := range k.Agents {
		lab.Eventually(t, patience, func() error { return a.Said("event=cluster_paused") })
	}
}

// nobodyLeads returns nil if no Redis but the m-th has become a master.
func nobodyLeads(k *lab.Cluster, m int) func() error {
	return seldom(func() error {
		for _, i := range others(k, m) {
			if role, err := k.Redis[i].Info("role"); err != nil || role != "slave" {
				return fmt.Errorf("%s is a %s: %v", k.Redis[i].Name, role, err)
			}
		}
		return nil
	})
}

// While the cluster is paused a dead master stays dead; once it is not, another is elected, and nothing is lost.
func TestOperate02_PausedMasterDies(t *testing.T) {
	t.Parallel()
	for _, byItself := range []bool{false, true} {
		t.Run(fmt.Sprint("it ends by itself: ", byItself), func(t *testing.T) {
			t.Parallel()
			k := planned(t, lab.Plan{Members: 3, StartParked: true})
			m := started(t, k)
			stored := wrote(t, k, m, keys{prefix: "stored", n: 100})
			keep(t, stored.n, k.Redis...)
			lasts := "1h"
			if byItself {
				lasts = "6s"
			}
			from := time.Now()
			if out := command(t, k, "pause", "-for", lasts, "-reason", "new kernel"); !strings.Contains(out, "new kernel") {
				t.Errorf("pause says %s", out)
			}
			heardOfIt(t, k)
			k.Redis[m].Kill()
			if out, _, code, err := k.Run(0, "", "status"); err != nil || code != 2 || !strings.Contains(out, "paused until") || !strings.Contains(out, "new kernel") {
				t.Errorf("status exits with %d %v: %s", code, err, out)
			}
			throughout(t, time.Until(from.Add(5*time.Second)), nobodyLeads(k, m))
			if !byItself {
				command(t, k, "resume")
			}
			lab.Eventually(t, patience, func() error {
				for _, i := range others(k, m) {
					if k.Redis[i].IsMaster(0) == nil || k.Redis[i].IsMaster(1) == nil {
						return nil
					}
				}
				return errors.New("no master was elected")
			})
			ok(t, k.Redis[m].Restart())
			whole(t, k, stored)
			ok(t, k.Stop())
		})
	}
}

// A Redis is restarted by hand while the cluster is paused: whatever data it has and gets, it overwrites no other member.
func TestOperate02_RestartedByHand(t *testing.T) {
	t.Parallel()
	for _, with := range []string{"its data", "nothing", "an old dump"} {
		t.Run("with "+with, func(t *testing.T) {
			t.Parallel()
			persist := lab.AOF
			if with == "an old dump" {
				persist = lab.RDB
			}
			k := planned(t, lab.Plan{Members: 3, Persist: persist})
			m := started(t, k)
			old := wrote(t, k, m, keys{prefix: "old", n: 100})
			if persist == lab.RDB {
				ok(t, k.Redis[m].Save())
			}
			stored := wrote(t, k, m, keys{prefix: "stored", n: 100})
			keep(t, old.n+stored.n, rest(k, m)...)
			command(t, k, "pause")
			heardOfIt(t, k)
			switch with {
			case "its data":
				_, err := k.Redis[m].Stop(syscall.SIGTERM)
				ok(t, err)
				ok(t, k.Redis[m].Restart())
			case "nothing":
				k.Redis[m].Kill()
				ok(t, k.Redis[m].RestartEmpty())
			default:
				k.Redis[m].Kill()
				ok(t, k.Redis[m].Restart())
			}
			for i := range 300 { // a client that does not ask the catalogue
				lab.Eventually(t, patience, func() error { _, err := k.Redis[m].Do("SET", fmt.Sprint("later", i), "1"); return err })
			}
			throughout(t, 4*time.Second, nobodyLeads(k, m))
			entries, err := k.Entries(k.Name+"-master", "")
			ok(t, err)
			for _, e := range entries {
				if e.Checks.AggregatedStatus() == "passing" {
					t.Errorf("a master that was not elected is listed as passing: %s", e.Service.ID)
				}
			}
			command(t, k, "resume")
			whole(t, k, old, stored)
			ok(t, k.Stop())
		})
	}
}

// The master's agent is restarted while the cluster is paused: its Redis continues, and no write is refused.
func TestOperate02_AgentRestarted(t *testing.T) {
	t.Parallel()
	k := planned(t, lab.Plan{Members: 3, StartParked: true})
	m := started(t, k)
	w := watched(t, k)
	command(t, k, "pause")
	heardOfIt(t, k)
	terminate(t, map[*lab.Process]time.Duration{k.Agents[m]: 0})
	throughout(t, 4*time.Second, nobodyLeads(k, m))
	ok(t, k.Agent(m))
	lab.Eventually(t, patience, func() error { return k.Settled(0) })
	command(t, k, "resume")
	v, now := judged(t, k, w)
	if err := errors.Join(v.NothingLost(), v.NeverTwo(0), notRefused(w), k.Stop()); err != nil || now != m {
		t.Errorf("m%d leads, was m%d: %v", now, m, err)
	}
}
