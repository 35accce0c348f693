package stories_test

import (
	"errors"
	"syscall"
	"testing"
	"time"

	"resec/scripts/lab"
)

// All offsets are equal, so that nothing but being the master tells one from the other: what Consul loses, the master
// takes again.
func TestLead06_IdleClusterLosesItsSession(t *testing.T) {
	t.Parallel()
	for _, n := range []int{2, 3} {
		t.Run(map[int]string{2: "two members", 3: "three members"}[n], func(t *testing.T) {
			t.Parallel()
			k := cluster(t, n)
			m := started(t, k)
			for range 5 {
				before, session := stands(t, k)
				same := idle(t, k, m)
				_, err := k.Consul.Client.Session().Destroy(session, nil)
				ok(t, err)
				lab.Eventually(t, patience, func() error {
					ok(t, same())
					pair, _, err := k.Consul.Client.KV().Get(k.Name+"/.lock", nil)
					if err == nil && (pair == nil || pair.Session == "" || pair.Session == session) {
						err = errors.New("the lock is not held again")
					}
					return err
				})
				throughout(t, time.Second, same)
				whole(t, k)
				if after, _ := stands(t, k); after.Master.RunID != before.Master.RunID {
					t.Fatalf("it moved from %+v to %+v", before.Master, after.Master)
				}
			}
			ok(t, k.Stop())
		})
	}
}

// idle waits until nothing is being written and every offset is the master's, and returns what is nil as long as nothing
// moves. It looks without writing.
func idle(t *testing.T, k *lab.Cluster, m int) (same func() error) {
	t.Helper()
	lab.Eventually(t, patience, func() error {
		offset, err := k.Redis[m].Info("master_repl_offset")
		if err != nil {
			return err
		}
		for _, i := range others(k, m) {
			if err := k.Redis[i].Is("slave_repl_offset", offset); err != nil {
				return err
			}
		}
		return nil
	})
	return func() error {
		errs := []error{k.Redis[m].Is("role", "master")}
		for _, i := range others(k, m) {
			errs = append(errs, k.Redis[i].Follows(k.Redis[m]))
		}
		return errors.Join(errs...)
	}
}

// A Consul client agent that leaves takes its node out of the catalogue, with the services, the check and the
// session of the resec beside it. The incumbent stays.
func TestLead06_ConsulClientAgentRestarted(t *testing.T) {
	t.Parallel()
	for _, v := range []struct {
		name  string
		whose func(m int) []int
	}{
		{"the master's", func(m int) []int { return []int{m} }},
		{"a replica's", func(m int) []int { return []int{(m + 1) % 3} }},
		{"one after the other", func(m int) []int { return []int{m, (m + 1) % 3, (m + 2) % 3} }},
	} {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			k := planned(t, lab.Plan{Members: 3, Clients: true})
			m := started(t, k)
			before, _ := stands(t, k)
			for _, i := range v.whose(m) {
				same := idle(t, k, m)
				_, err := k.Clients[i].Stop(syscall.SIGTERM) // the code is 1 if leaving took longer than 5 s
				ok(t, err)
				ok(t, same())
				ok(t, k.Clients[i].Restart())
				throughout(t, 2*time.Second, same)
				whole(t, k)
				if after, _ := stands(t, k); after.Master.RunID != before.Master.RunID {
					t.Fatalf("it moved from %+v to %+v", before.Master, after.Master)
				}
			}
			ok(t, k.Stop())
		})
	}
}
