package commands_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"

	"resec/commands/expect"
	"resec/scripts/lab"
)

func TestAgent_ConsulStoppedAndBack(t *testing.T) {
	t.Parallel()
	c, err := lab.ForTest(t).StartConsul("own", nil)
	expect.OK(t, err)
	k, m := started(t, clusterOn(t, c, 2))
	c.Kill()
	back := time.Now().Add(10 * time.Second)
	lab.Eventually(t, 15*time.Second, func() error {
		if err := k.Redis[m].IsMaster(1); err != nil {
			t.Fatalf("while Consul is down: %v", err)
		}
		if time.Now().Before(back) {
			return errors.New("consul is down")
		}
		return nil
	})
	expect.OK(t, c.Start())
	expect.OK(t, c.Ready(t.Context()))
	expect.OK(t, k.Settled(15*time.Second))
	if n, err := k.Master(); err != nil || n != m {
		t.Errorf("an outage of consul changed the master from m%d to m%d: %v", m, n, err)
	}
	expect.OK(t, k.Stop())
}

func TestAgent_LeavesWhileConsulIsDown(t *testing.T) {
	t.Parallel()
	c, err := lab.ForTest(t).StartConsul("own", nil)
	expect.OK(t, err)
	k := clusterOn(t, c, 1)
	expect.OK(t, k.Go())
	c.Kill()
	expect.OK(t, k.Stop())
	expect.OK(t, k.Redis[0].IsMaster(0))
}

func TestAgent_StartedWhileConsulIsDown(t *testing.T) {
	t.Parallel()
	c, err := lab.ForTest(t).StartConsul("own", nil)
	expect.OK(t, err)
	k := clusterOn(t, c, 1)
	if _, err := k.Redis[0].Do("SET", "k", "v"); err != nil {
		t.Fatal(err)
	}
	before, err := k.Redis[0].Do("INFO", "commandstats")
	expect.OK(t, err)
	c.Kill()
	expect.OK(t, k.Agent(0))
	lab.Eventually(t, 5*time.Second, func() error { return k.Agents[0].Said("cannot read the node name from the consul agent") })
	after, err := k.Redis[0].Do("INFO", "commandstats")
	expect.OK(t, err)
	for _, cmd := range []string{"cmdstat_replicaof", "cmdstat_config|set", "cmdstat_slaveof"} {
		if strings.Contains(after, cmd) && !strings.Contains(before, cmd) {
			t.Errorf("the agent ran %s while Consul was down", cmd)
		}
	}
	expect.OK(t, c.Start())
	expect.OK(t, k.Settled(15*time.Second))
	expect.OK(t, k.Stop())
}

// Consul loses all its data, with sessions, lock and state, and its index falls.
func TestAgent_ConsulLosesItsData(t *testing.T) {
	t.Parallel()
	l := lab.ForTest(t)
	c, err := l.StartConsul("own", nil)
	expect.OK(t, err)
	for i := range 200 {
		_, err := c.Client.KV().Put(kvPair(fmt.Sprint("lab/", i), ""), nil)
		expect.OK(t, err)
	}
	k, m := started(t, clusterOn(t, c, 2))
	c.Kill()
	expect.OK(t, os.RemoveAll(filepath.Join(l.Dir, "own")))
	expect.OK(t, c.Start())
	expect.OK(t, c.Ready(t.Context()))
	expect.OK(t, k.Settled(15*time.Second))
	if n, err := k.Master(); err != nil || n != m {
		t.Errorf("the master changed from m%d to m%d: %v", m, n, err)
	}
	for i, p := range k.Agents {
		if n := strings.Count(p.Output(), "adopted"); n > 1 {
			t.Errorf("agent %d adopted its lost session %d times", i, n)
		}
	}
	expect.OK(t, k.Stop())
}

// An operator deletes the state, deletes the lock, overwrites the lock, and deletes both. Consul's index of the keys falls.
func TestAgent_KeysDeletedByHand(t *testing.T) {
	t.Parallel()
	k, m := started(t, cluster(t, 2))
	kv := k.Consul.Client.KV()
	for i, del := range []func() error{
		func() error { _, err := kv.Delete(k.Name+"/.lock/state", nil); return err },
		func() error { _, err := kv.Delete(k.Name+"/.lock", nil); return err },
		func() error { _, err := kv.Put(kvPair(k.Name+"/.lock", "by hand"), nil); return err },
		// Consul wakes no query for this: it is seen when the blocking query returns, after 10 s to 10.6 s.
		func() error { _, err := kv.DeleteTree(k.Name+"/", nil); return err },
	} {
		expect.OK(t, del())
		lab.Eventually(t, 20*time.Second, func() error {
			out, _, code, err := k.Run(m, "", "status")
			if err == nil && code != 0 {
				err = fmt.Errorf("after step %d: exit %d: %s", i, code, out)
			}
			return err
		})
	}
	expect.OK(t, k.Settled(5*time.Second))
	if n, err := k.Master(); err != nil || n != m {
		t.Errorf("the master changed from m%d to m%d: %v", m, n, err)
	}
	expect.OK(t, k.Stop())
}

// A master whose session is destroyed acquires the lock again. Nothing changes in Redis or in the catalogue.
func TestAgent_LostSessionMovesNothing(t *testing.T) {
	t.Parallel()
	k, m := started(t, cluster(t, 2))
	destroySession(t, k)
	lab.Eventually(t, 5*time.Second, func() error {
		if e, err := k.Consul.Entries(k.Name+"-master", ""); err != nil || len(e) != 1 ||
			e[0].Service.Address != k.Redis[m].Host ||
			e[0].Checks.AggregatedStatus() != "passing" {
			t.Fatalf("the catalogue changed: %d entries, %v", len(e), err)
		}
		if err := k.Redis[m].IsMaster(1); err != nil {
			t.Fatal(err)
		}
		return k.Agents[m].Said("term=2")
	})
	expect.OK(t, k.Settled(5*time.Second))
	expect.OK(t, k.Stop())
}

// A late registration lists the master as a replica, after Consul or the network hung.
func TestAgent_OldRegistrationComesLate(t *testing.T) {
	t.Parallel()
	k, m := started(t, cluster(t, 2))
	entries, err := k.Entries(k.Name+"-master", "")
	expect.OK(t, err)
	s := entries[0].Service
	expect.OK(t, k.Consul.Client.Agent().ServiceRegister(&api.AgentServiceRegistration{ID: s.ID, Name: k.Name + "-slave",
		Address: s.Address, Port: s.Port,
		Meta: map[string]string{"id": fmt.Sprint("m", m), "term": "0"}}))
	lab.Eventually(t, 10*time.Second, func() error {
		now, err := k.Entries(k.Name+"-master", "")
		if err == nil && (len(now) != 1 || now[0].Service.ID != s.ID || now[0].Checks.AggregatedStatus() != api.HealthPassing) {
			err = fmt.Errorf("the masters listed are %v", now)
		}
		return err
	})
	expect.OK(t, k.Settled(5*time.Second))
	expect.OK(t, k.Stop())
}
