package stories_test

import (
	"errors"
	"fmt"
	"slices"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"resec/scripts/lab"
)

// All three are replaced one after the other by new ones, with a new address, a new id and an empty disk, each when the
// last is linked and has caught up.
func TestLead09_RollingReplacement(t *testing.T) {
	t.Parallel()
	for i, v := range []struct {
		name       string
		before     bool // the new one is started first
		take       func(*testing.T, *lab.Cluster, int)
		lastMaster bool // the master is the last to go
	}{
		{"the new one first", true, leave, false},
		{"the new one first, the master last", true, leave, true},
		{"the old one first", false, leave, false},
		{"the old one first, the master last", false, leave, true},
		{"redis and agent stopped at the same moment", false, leaveAtOnce, false},
		{"killed, and deregistered by hand", false, killed, false},
	} {
		for _, parked := range []bool{false, true} {
			if parked == (i%2 == 0) && !*all {
				continue
			}
			t.Run(v.name+named(parked, ", started parked"), func(t *testing.T) {
				t.Parallel()
				k := planned(t, lab.Plan{Members: 3, StartParked: parked})
				m := started(t, k)
				stored := wrote(t, k, m, keys{prefix: "stored", n: 1000})
				order := append([]int{m}, others(k, m)...)
				if v.lastMaster {
					slices.Reverse(order)
				}
				var ids []string
				for _, old := range order {
					if !v.before {
						v.take(t, k, old)
					}
					i, err := k.Add(lab.Member{})
					ok(t, err)
					id := fmt.Sprint("m", i)
					ids = append(ids, id)
					ok(t, k.Agent(i))
					lab.Eventually(t, patience, func() error { return errors.Join(k.Settled(0), caughtUp(k, id), stored.on(k.Redis[i])) })
					keep(t, stored.n, k.Redis[i])
					if v.before {
						v.take(t, k, old)
					}
				}
				whole(t, k, stored)
				s, err := stateOf(k)
				ok(t, err)
				if d := cmp.Diff(ids, memberIDs(s)); d != "" {
					t.Error("the record: " + d)
				}
				ok(t, k.Stop())
			})
		}
	}
}

func leave(t *testing.T, k *lab.Cluster, i int) {
	t.Helper()
	ok(t, k.Remove(i))
}

func leaveAtOnce(t *testing.T, k *lab.Cluster, i int) {
	t.Helper()
	k.Redis[i].Signal(syscall.SIGTERM)
	if code, err := k.Agents[i].Stop(syscall.SIGTERM); err != nil || code != 0 {
		t.Fatalf("%s left with %d: %v", k.Agents[i].Name, code, err)
	}
	if _, err := k.Redis[i].Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// killed: it stays recorded until an operator, or Consul after its time, deregisters it.
func killed(t *testing.T, k *lab.Cluster, i int) {
	t.Helper()
	k.Crash(i)
	lab.Eventually(t, patience, func() error { _, err := k.Linked(); return err })
	lab.Eventually(t, patience, func() error { // it is in neither list while its entry changes its service
		e, err := k.Entry(i)
		if err != nil {
			return err
		}
		return k.Consul.Client.Agent().ServiceDeregister(e.Service.ID)
	})
}
