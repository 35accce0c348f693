package commands_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"
	"go.uber.org/goleak"

	"resec/commands"
	"resec/scripts/lab"
)

func TestAgent_OneMasterAndTheOthersFollow(t *testing.T) {
	for n := 1; n <= 3; n++ {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			t.Parallel()
			k := cluster(t, n)
			ok(t, k.Go())
			ok(t, k.Stop())
			for _, role := range []string{"-master", "-slave"} {
				if e, err := k.Consul.Entries(k.Name+role, ""); err != nil || len(e) != 0 {
					t.Errorf("left in the catalogue: %v %v", e, err)
				}
			}
			if s, _, err := k.Consul.Client.Session().List(nil); err != nil || strings.Contains(fmt.Sprint(s), k.Name) {
				t.Errorf("left sessions: %v %v", s, err)
			}
		})
	}
}

func TestAgent_OneServiceWithTags(t *testing.T) {
	t.Parallel()
	k := cluster(t, 2)
	k.Env = append(k.Env, "CONSUL_SERVICE_NAME="+k.Name, "MASTER_TAGS=primary,rw", "SLAVE_TAGS=replica,ro")
	for i := range k.Redis {
		ok(t, k.Agent(i))
	}
	tagged := func(tag, addr string) error {
		e, err := k.Consul.Entries(k.Name, tag)
		if err == nil && (len(e) != 1 || net.JoinHostPort(e[0].Service.Address, fmt.Sprint(e[0].Service.Port)) != addr ||
			e[0].Checks.AggregatedStatus() != "passing" || len(e[0].Service.Tags) != 2) {
			err = fmt.Errorf("tag %s is not at %s alone, passing", tag, addr)
		}
		return err
	}
	settled := func() error {
		m, err := k.Master()
		if err != nil {
			return err
		}
		return errors.Join(k.Redis[1-m].Follows(k.Redis[m]), tagged("primary", k.Redis[m].Addr), tagged("replica", k.Redis[1-m].Addr))
	}
	lab.Eventually(t, 15*time.Second, func() error { return errors.Join(settled(), k.Recorded()) })
	m, err := k.Master()
	ok(t, err)
	k.Redis[m].Kill()
	lab.Eventually(t, 10*time.Second, func() error {
		return errors.Join(k.Redis[1-m].Is("role", "master"), tagged("primary", k.Redis[1-m].Addr))
	})
	ok(t, k.Redis[m].Restart())
	lab.Eventually(t, 10*time.Second, settled)
	ok(t, k.Stop())
}

func TestAgent_MasterKilled(t *testing.T) {
	t.Parallel()
	k, m := started(t, cluster(t, 3))
	k.Redis[m].Kill()
	ok(t, k.Settled(10*time.Second))
	ok(t, k.Redis[m].Restart())
	ok(t, k.Settled(10*time.Second))
	ok(t, k.Stop())
}

// What a supervisor does: the master is back at once, and empty. The replicas keep what they have.
func TestAgent_MasterRestartedEmptyAtOnce(t *testing.T) {
	t.Parallel()
	k := cluster(t, 3)
	ok(t, k.Go())
	for round := range 3 {
		m, err := k.Master()
		ok(t, err)
		for i := range 100 {
			if _, err := k.Redis[m].Do("SET", fmt.Sprint("k", round, "-", i), "v"); err != nil {
				t.Fatal(err)
			}
		}
		if n, err := k.Redis[m].Do("WAIT", "2", "2000"); err != nil || n != "2" {
			t.Fatalf("%s replicas have the keys: %v", n, err)
		}
		k.Redis[m].Kill()
		ok(t, k.Redis[m].Restart())
		ok(t, k.Settled(10*time.Second))
		for _, r := range k.Redis {
			if n, err := r.Do("DBSIZE"); err != nil || n != fmt.Sprint(100*(round+1)+1) { // and the lab's own key
				t.Fatalf("round %d: %s has %s keys: %v", round, r.Name, n, err)
			}
		}
	}
	ok(t, k.Stop())
}

func TestAgent_MasterKilledWithItsAgent(t *testing.T) {
	t.Parallel()
	k, m := started(t, cluster(t, 3))
	k.Agents[m].Kill()
	k.Redis[m].Kill()
	ok(t, k.Settled(15*time.Second))
	ok(t, k.Redis[m].Restart())
	ok(t, k.Agent(m))
	ok(t, k.Settled(10*time.Second))
	ok(t, k.Stop())
}

func TestAgent_MastersAgentLeaves(t *testing.T) {
	t.Parallel()
	k, m := started(t, cluster(t, 2))
	code, err := k.Agents[m].Stop(syscall.SIGQUIT)
	if err != nil || code != 0 {
		t.Fatalf("the agent left with %d: %v", code, err)
	}
	lab.Eventually(t, 10*time.Second, func() error {
		return errors.Join(k.Redis[1-m].IsMaster(1), k.Redis[m].Follows(k.Redis[1-m]))
	})
	ok(t, k.Stop())
}

// A planned restart of agent and Redis: the member has deregistered, and its AOF begins a lineage that nobody knows. It is
// no stranger all the same.
func TestAgent_LeavesAndComesBackWithItsAOF(t *testing.T) {
	t.Parallel()
	for _, master := range []bool{false, true} {
		t.Run(fmt.Sprintf("the master is %t", master), func(t *testing.T) {
			t.Parallel()
			k, i := started(t, cluster(t, 3, "--appendonly", "yes", "--replicaof", "127.0.0.1", "1"))
			if !master {
				i = (i + 1) % 3
			}
			if code, err := k.Agents[i].Stop(syscall.SIGTERM); err != nil || code != 0 {
				t.Fatalf("the agent left with %d: %v", code, err)
			}
			_, err := k.Redis[i].Stop(syscall.SIGTERM)
			ok(t, err)
			ok(t, k.Settled(10*time.Second))
			ok(t, k.Redis[i].Restart())
			ok(t, k.Agent(i))
			ok(t, k.Settled(15*time.Second))
			ok(t, k.Stop())
		})
	}
}

func TestAgent_KilledAndRestarted(t *testing.T) {
	t.Parallel()
	k, m := started(t, cluster(t, 2))
	k.Agents[m].Kill()
	ok(t, k.Agent(m))
	lab.Eventually(t, 5*time.Second, func() error { return k.Agents[m].Said("adopted the predecessor's session") })
	ok(t, k.Settled(5*time.Second))
	if n, err := k.Master(); err != nil || n != m {
		t.Errorf("the master moved from %d to %d: %v", m, n, err)
	}
	ok(t, k.Stop())
}

func TestAgent_RedisUnhealthyAndBack(t *testing.T) {
	t.Parallel()
	k, m := started(t, cluster(t, 2))
	k.Redis[m].Freeze()
	lab.Eventually(t, 10*time.Second, func() error { return k.Redis[1-m].Is("role", "master") })
	lab.Eventually(t, 5*time.Second, func() error {
		e, err := k.Consul.Entries(k.Name+"-slave", "")
		if err == nil && (len(e) != 1 || e[0].Checks.AggregatedStatus() != "critical") {
			err = fmt.Errorf("the frozen one is not listed as a critical replica: %d entries", len(e))
		}
		return err
	})
	ok(t, k.Agents[m].Said("redis is unhealthy"))
	k.Redis[m].Thaw()
	ok(t, k.Settled(10*time.Second))
	ok(t, k.Agents[m].Said("redis is healthy"))
	ok(t, k.Stop())
}

// A Redis that is busy answers: it keeps its lock.
func TestAgent_RedisBusy(t *testing.T) {
	t.Parallel()
	k, m := started(t, cluster(t, 2, "--lua-time-limit", "50"))
	script := make(chan error, 1)
	go func() { script <- k.Redis[m].Busy(3 * time.Second) }()
	lab.Eventually(t, 2*time.Second, func() error {
		if _, err := k.Redis[m].Do("PING"); err == nil || !strings.HasPrefix(err.Error(), "BUSY") {
			return fmt.Errorf("it is not busy: %v", err)
		}
		return nil
	})
	if err := <-script; err == nil {
		t.Error("the script was not killed")
	}
	ok(t, k.Settled(5*time.Second))
	if n, err := k.Master(); err != nil || n != m || strings.Contains(k.Agents[m].Output(), "unhealthy") {
		t.Errorf("a busy redis lost its place to %d: %v", n, err)
	}
	ok(t, k.Stop())
}

// With a password, which replicas authenticate with too; a wrong one is said, and harms nothing.
func TestAgent_Password(t *testing.T) {
	t.Parallel()
	k := cluster(t, 2, "--requirepass", "secret")
	k.Env = append(k.Env, "REDIS_PASSWORD=wrong")
	ok(t, k.Agent(0))
	lab.Eventually(t, 10*time.Second, func() error { return k.Agents[0].Said("WRONGPASS") })
	if code, err := k.Agents[0].Stop(syscall.SIGTERM); err != nil || code != 0 {
		t.Fatalf("exit %d: %v", code, err)
	}
	k.Agents[0] = nil
	k.Env[len(k.Env)-1] = "REDIS_PASSWORD=secret"
	_, m := started(t, k)
	k.Redis[m].Kill()
	ok(t, k.Settled(10*time.Second))
	ok(t, k.Redis[m].Restart())
	ok(t, k.Settled(10*time.Second))
	for _, p := range k.Agents {
		if strings.Contains(p.Output(), "secret") {
			t.Errorf("%s tells the password:\n%s", p.Name, p.Output())
		}
	}
	ok(t, k.Stop())
}

// A password that is changed behind the agents' backs takes no master from its clients.
func TestAgent_RedisLetsNobodyIn(t *testing.T) {
	t.Parallel()
	k, m := started(t, cluster(t, 2))
	out := time.Now().Add(4 * time.Second) // longer than a check lives
	for _, r := range k.Redis {
		_, err := r.Do("CONFIG", "SET", "requirepass", "changed") // our own connection stays
		ok(t, err)
		_, err = r.Do("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
		ok(t, err)
	}
	lab.Eventually(t, 10*time.Second, func() error {
		ok(t, k.Redis[m].Is("role", "master"))
		_, err := k.Redis[m].Do("SET", "k", "v")
		ok(t, err)
		if time.Now().Before(out) {
			return errors.New("they are kept out")
		}
		return nil
	})
	ok(t, k.Agents[m].Said("does not let us in"))
	e, err := k.Consul.Entries(k.Name+"-master", "")
	if err != nil || len(e) != 1 || e[0].Checks.AggregatedStatus() != "passing" {
		t.Errorf("the master is not listed: %d entries, %v", len(e), err)
	}
	for _, r := range k.Redis {
		_, err := r.Do("CONFIG", "SET", "requirepass", "")
		ok(t, err)
	}
	ok(t, k.Settled(15*time.Second))
	if n, err := k.Master(); err != nil || n != m {
		t.Errorf("the master moved from %d to %d: %v", m, n, err)
	}
	ok(t, k.Stop())
}

// A Redis with priority 0 follows, and is never promoted.
func TestAgent_PriorityZero(t *testing.T) {
	t.Parallel()
	k := cluster(t, 2)
	if _, err := k.Redis[0].Do("CONFIG", "SET", "replica-priority", "0"); err != nil {
		t.Fatal(err)
	}
	_, m := started(t, k)
	if m != 1 {
		t.Fatalf("the master is %d", m)
	}
	k.Redis[1].Kill()
	lab.Eventually(t, 5*time.Second, func() error { return k.Agents[0].Said("its replica-priority is 0") })
	ok(t, k.Redis[0].Is("role", "slave"))
	ok(t, k.Redis[1].Restart())
	ok(t, k.Stop())
}

// A session that is lost over a healthy master is taken again: nothing moves, in Redis or in the catalogue.
func TestAgent_LostSessionMovesNothing(t *testing.T) {
	t.Parallel()
	k, m := started(t, cluster(t, 2))
	destroySession(t, k)
	lab.Eventually(t, 5*time.Second, func() error {
		if e, err := k.Consul.Entries(k.Name+"-master", ""); err != nil || len(e) != 1 || e[0].Service.Address != k.Redis[m].Host ||
			e[0].Checks.AggregatedStatus() != "passing" {
			t.Fatalf("the catalogue moved: %d entries, %v", len(e), err)
		}
		if err := k.Redis[m].IsMaster(1); err != nil {
			t.Fatal(err)
		}
		return k.Agents[m].Said("term=2")
	})
	ok(t, k.Settled(5*time.Second))
	ok(t, k.Stop())
}

// The end of a connection is a question, not an answer.
func TestAgent_ConnectionsKilled(t *testing.T) {
	t.Parallel()
	k, m := started(t, cluster(t, 2))
	for range 25 {
		for _, r := range k.Redis {
			for _, kind := range []string{"normal", "pubsub"} {
				if _, err := r.Do("CLIENT", "KILL", "TYPE", kind); err != nil {
					t.Fatal(err)
				}
			}
		}
		ok(t, k.Redis[m].IsMaster(1))
	}
	for _, r := range k.Redis {
		if _, err := r.Do("CONFIG", "SET", "timeout", "1"); err != nil {
			t.Fatal(err)
		}
	}
	deadline := time.Now().Add(4 * time.Second)
	lab.Eventually(t, 10*time.Second, func() error {
		if err := k.Redis[m].IsMaster(1); err != nil {
			t.Fatal(err)
		}
		if time.Now().Before(deadline) {
			return errors.New("connections are being closed")
		}
		return nil
	})
	ok(t, k.Settled(5*time.Second))
	for _, p := range k.Agents {
		for _, moved := range []string{"no longer master", "the master is gone", "unhealthy"} {
			if strings.Contains(p.Output(), moved) {
				t.Errorf("%s said %q:\n%s", p.Name, moved, p.Output())
			}
		}
	}
	ok(t, k.Stop())
}

// A Redis that an operator made a replica is master again.
func TestAgent_DemotedByHand(t *testing.T) {
	t.Parallel()
	k, m := started(t, cluster(t, 2))
	if _, err := k.Redis[m].Do("REPLICAOF", "127.0.0.1", "1"); err != nil {
		t.Fatal(err)
	}
	ok(t, k.Settled(10*time.Second))
	ok(t, k.Stop())
}

func TestAgent_RedisAbsentAtStart(t *testing.T) {
	t.Parallel()
	k := cluster(t, 1)
	k.Redis[0].Kill()
	ok(t, k.Agent(0))
	lab.Eventually(t, 5*time.Second, func() error { return k.Agents[0].Said("redis is unhealthy") })
	ok(t, k.Redis[0].Restart())
	ok(t, k.Settled(10*time.Second))
	ok(t, k.Stop())
}

func TestAgent_ConsulStoppedAndBack(t *testing.T) {
	t.Parallel()
	c, err := lab.ForTest(t).StartConsul("own", nil)
	ok(t, err)
	k, m := started(t, clusterOn(t, c, 2))
	c.Kill()
	back := time.Now().Add(10 * time.Second)
	lab.Eventually(t, 15*time.Second, func() error {
		if err := k.Redis[m].IsMaster(1); err != nil {
			t.Fatalf("while Consul is away: %v", err)
		}
		if time.Now().Before(back) {
			return errors.New("consul is away")
		}
		return nil
	})
	ok(t, c.Start())
	ok(t, c.Ready(t.Context()))
	ok(t, k.Settled(15*time.Second))
	if n, err := k.Master(); err != nil || n != m {
		t.Errorf("an outage of consul moved the master from %d to %d: %v", m, n, err)
	}
	ok(t, k.Stop())
}

func TestAgent_LeavesWhileConsulIsDown(t *testing.T) {
	t.Parallel()
	c, err := lab.ForTest(t).StartConsul("own", nil)
	ok(t, err)
	k := clusterOn(t, c, 1)
	ok(t, k.Go())
	c.Kill()
	ok(t, k.Stop())
	ok(t, k.Redis[0].IsMaster(0))
}

// All of Consul's data are lost, sessions, lock and state with them, and its index falls.
func TestAgent_ConsulLosesItsData(t *testing.T) {
	t.Parallel()
	l := lab.ForTest(t)
	c, err := l.StartConsul("own", nil)
	ok(t, err)
	for i := range 200 {
		_, err := c.Client.KV().Put(kvPair(fmt.Sprint("lab/", i), ""), nil)
		ok(t, err)
	}
	k, m := started(t, clusterOn(t, c, 2))
	c.Kill()
	ok(t, os.RemoveAll(filepath.Join(l.Dir, "own")))
	ok(t, c.Start())
	ok(t, c.Ready(t.Context()))
	ok(t, k.Settled(15*time.Second))
	if n, err := k.Master(); err != nil || n != m {
		t.Errorf("the master moved from %d to %d: %v", m, n, err)
	}
	for i, p := range k.Agents {
		if n := strings.Count(p.Output(), "adopted"); n > 1 {
			t.Errorf("agent %d adopted its dead session %d times", i, n)
		}
	}
	ok(t, k.Stop())
}

// The lock and the state are deleted by hand, one after the other and both, twice: Consul's index of them falls.
func TestAgent_KeysDeletedByHand(t *testing.T) {
	t.Parallel()
	k, m := started(t, cluster(t, 2))
	kv := k.Consul.Client.KV()
	for i, del := range []func() error{
		func() error { _, err := kv.Delete(k.Name+"/.lock/state", nil); return err },
		func() error { _, err := kv.Delete(k.Name+"/.lock", nil); return err },
		func() error { _, err := kv.Put(kvPair(k.Name+"/.lock", "by hand"), nil); return err },
		// Consul wakes nobody for this one: it shows when the blocking query returns, after 10 s and a little.
		func() error { _, err := kv.DeleteTree(k.Name+"/", nil); return err },
	} {
		ok(t, del())
		lab.Eventually(t, 20*time.Second, func() error {
			out, _, code, err := k.Run(m, "", "status")
			if err == nil && code != 0 {
				err = fmt.Errorf("after step %d: exit %d: %s", i, code, out)
			}
			return err
		})
	}
	ok(t, k.Settled(5*time.Second))
	if n, err := k.Master(); err != nil || n != m {
		t.Errorf("the master moved from %d to %d: %v", m, n, err)
	}
	ok(t, k.Stop())
}

// An old registration of the master, as a replica, is carried out late: Consul hung, or the network did.
func TestAgent_OldRegistrationComesLate(t *testing.T) {
	t.Parallel()
	k, m := started(t, cluster(t, 2))
	entries, err := k.Entries(k.Name+"-master", "")
	ok(t, err)
	s := entries[0].Service
	ok(t, k.Consul.Client.Agent().ServiceRegister(&api.AgentServiceRegistration{ID: s.ID, Name: k.Name + "-slave",
		Address: s.Address, Port: s.Port,
		Meta: map[string]string{"id": fmt.Sprint("m", m), "term": "0"}}))
	lab.Eventually(t, 10*time.Second, func() error {
		now, err := k.Entries(k.Name+"-master", "")
		if err == nil && (len(now) != 1 || now[0].Service.ID != s.ID || now[0].Checks.AggregatedStatus() != api.HealthPassing) {
			err = fmt.Errorf("the masters listed are %v", now)
		}
		return err
	})
	ok(t, k.Settled(5*time.Second))
	ok(t, k.Stop())
}

func TestAgent_StartedWhileConsulIsDown(t *testing.T) {
	t.Parallel()
	c, err := lab.ForTest(t).StartConsul("own", nil)
	ok(t, err)
	k := clusterOn(t, c, 1)
	if _, err := k.Redis[0].Do("SET", "k", "v"); err != nil {
		t.Fatal(err)
	}
	before, err := k.Redis[0].Do("INFO", "commandstats")
	ok(t, err)
	c.Kill()
	ok(t, k.Agent(0))
	lab.Eventually(t, 5*time.Second, func() error { return k.Agents[0].Said("cannot read the node name from the consul agent") })
	after, err := k.Redis[0].Do("INFO", "commandstats")
	ok(t, err)
	for _, cmd := range []string{"cmdstat_replicaof", "cmdstat_config|set", "cmdstat_slaveof"} {
		if strings.Contains(after, cmd) && !strings.Contains(before, cmd) {
			t.Errorf("the agent ran %s while Consul was away", cmd)
		}
	}
	ok(t, c.Start())
	ok(t, k.Settled(15*time.Second))
	ok(t, k.Stop())
}

// Every form of an announced address, each in its turn the master's.
func TestAgent_AnnounceAddresses(t *testing.T) {
	t.Parallel()
	c := consul(t)
	k := cluster(t, 0)
	port := func(host string) int {
		p, err := lab.FreePort(host)
		ok(t, err)
		return p
	}
	p0, p1, p2 := port(c.Host), port("127.0.0.1"), port("::1")
	for i, a := range []struct{ redis, announce string }{
		{fmt.Sprintf("%s:%d", c.Host, p0), fmt.Sprint(p0)},                 // only a port: Consul's node address
		{fmt.Sprintf("127.0.0.1:%d", p1), fmt.Sprintf("localhost:%d", p1)}, // a host name
		{fmt.Sprintf("[::1]:%d", p2), fmt.Sprintf("[::1]:%d", p2)},         // IPv6
	} {
		r, err := k.StartRedisAt(fmt.Sprintf("r%d", i), a.redis)
		ok(t, err)
		if strings.Contains(a.announce, ":") {
			r.Announced = a.announce
		}
		k.Redis = append(k.Redis, r)
		k.Agents = append(k.Agents, nil)
		bin, err := lab.Resec()
		ok(t, err)
		// No subcommand: `resec` alone is the agent.
		k.Agents[i], err = k.Start(fmt.Sprintf("agent%d", i), append(k.Env, "REDIS_ADDR="+a.redis, "ANNOUNCE_ADDR="+a.announce), bin)
		ok(t, err)
	}
	linked := func() error { _, err := k.Linked(); return errors.Join(err, k.Recorded()) }
	for range k.Redis {
		lab.Eventually(t, 15*time.Second, linked)
		m, err := k.Master()
		ok(t, err)
		k.Redis[m].Kill()
		lab.Eventually(t, 10*time.Second, linked)
		ok(t, k.Redis[m].Restart())
	}
	lab.Eventually(t, 10*time.Second, linked)
	ok(t, k.Stop())
}

func TestAgent_TwoClustersOnOneConsulAgent(t *testing.T) {
	t.Parallel()
	a := cluster(t, 2)
	b, err := lab.ForTest(t).NewCluster(a.Consul, a.Name+"-b", 2)
	ok(t, err)
	ok(t, a.Go())
	ok(t, b.Go())
	ok(t, a.Settled(5*time.Second))
	ok(t, a.Stop())
	ok(t, b.Settled(5*time.Second))
	ok(t, b.Stop())
}

func TestAgent_TwoClustersOnOneLockKey(t *testing.T) {
	t.Parallel()
	a := cluster(t, 1)
	ok(t, a.Go())
	b, err := lab.ForTest(t).NewCluster(a.Consul, a.Name+"-b", 1)
	ok(t, err)
	b.Env = append(b.Env, "CONSUL_LOCK_KEY="+a.Name+"/.lock")
	ok(t, b.Agent(0))
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if code, err := b.Agents[0].Wait(ctx); err != nil || code != 1 {
		t.Errorf("exit code %d: %v\n%s", code, err, b.Agents[0].Output())
	}
	ok(t, b.Agents[0].Said("two clusters need two CONSUL_LOCK_KEYs"))
	ok(t, a.Settled(5*time.Second))
	ok(t, a.Stop())
}

// Two agents beside one Redis come at the same moment: one of them works. Another id for the same place waits.
func TestAgent_TwoAtOnce(t *testing.T) {
	t.Parallel()
	k := cluster(t, 1)
	var both []*lab.Process
	for i := range 2 {
		p, err := k.Resec(fmt.Sprint("twin", i), 0, "agent")
		ok(t, err)
		both = append(both, p)
	}
	one := func() error {
		waiting, working := 0, 0
		for _, p := range both {
			if p.Said("works on this redis already") == nil || p.Said("not started yet") == nil {
				waiting++
			}
			if p.Said("promoted") == nil {
				working++
			}
		}
		if waiting != 1 || working != 1 {
			return fmt.Errorf("%d wait, %d work", waiting, working)
		}
		return nil
	}
	lab.Eventually(t, 10*time.Second, one)
	lab.Eventually(t, 10*time.Second, func() error { _, err := k.Consul.Lookup(t.Context(), k.Name+"-master"); return err })
	other, err := k.Resec("other", 0, "agent", "-member-id=other")
	ok(t, err)
	lab.Eventually(t, 10*time.Second, func() error { return other.Said("is that of the living member") })
	for _, p := range append(both, other) {
		p.Signal(syscall.SIGTERM)
		exits(t, p, 0)
	}
}

func TestAgent_TwoMembersOfOneName(t *testing.T) {
	t.Parallel()
	k := cluster(t, 2)
	ok(t, k.Agent(0))
	lab.Eventually(t, 10*time.Second, func() error { _, err := k.Consul.Lookup(t.Context(), k.Name+"-master"); return err })
	bin, err := lab.Resec()
	ok(t, err)
	second, err := k.Start("second", append(append(k.Env, k.RedisEnv(1)...), "MEMBER_ID=m0"), bin)
	ok(t, err)
	lab.Eventually(t, 10*time.Second, func() error { return second.Said(`MEMBER_ID \"m0\" is also that of the living service`) })
	second.Signal(syscall.SIGTERM)
	exits(t, second, 0)
	ok(t, k.Redis[0].IsMaster(0))
	ok(t, k.Redis[1].Is("role", "master")) // untouched
	ok(t, k.Stop())
}

// A second agent beside a Redis waits, and leaves without doing harm; so does one whose address is another Redis's.
func TestAgent_SecondOneWaits(t *testing.T) {
	t.Parallel()
	k := cluster(t, 3)
	ok(t, k.Agent(0))
	lab.Eventually(t, 10*time.Second, func() error { _, err := k.Consul.Lookup(t.Context(), k.Name+"-master"); return err })
	again, err := k.Resec("again", 0, "agent")
	ok(t, err)
	astray, err := k.Resec("astray", 1, "agent", "-announce-addr", k.Redis[2].Addr, "-member-id=astray")
	ok(t, err)
	lab.Eventually(t, 10*time.Second, func() error {
		return errors.Join(again.Said("works on this redis already"), astray.Said("leads to another redis than REDIS_ADDR"))
	})
	for _, p := range []*lab.Process{again, astray} {
		p.Signal(syscall.SIGTERM)
		exits(t, p, 0)
	}
	addr, err := k.Consul.Lookup(t.Context(), k.Name+"-master")
	if err != nil || addr != k.Redis[0].Addr {
		t.Errorf("the master is at %s: %v", addr, err)
	}
	ok(t, k.Stop())
}

// With the policy that the README gives, and with one that lacks something.
func TestAgent_UnderACLs(t *testing.T) {
	t.Parallel()
	c, err := lab.ForTest(t).StartConsul("own", lab.Deny)
	ok(t, err)
	k := clusterOn(t, c, 2)
	policy := strings.NewReplacer(`"resec/`, `"`+k.Name+`/`, `"redis-`, `"`+k.Name+`-`).Replace(lab.Readme(t, "hcl policy"))
	token := func(name, rules string) string {
		_, _, err := c.Client.ACL().PolicyCreate(&api.ACLPolicy{Name: name, Rules: rules}, nil)
		ok(t, err)
		tok, _, err := c.Client.ACL().TokenCreate(&api.ACLToken{Policies: []*api.ACLTokenPolicyLink{{Name: name}}}, nil)
		ok(t, err)
		return tok.SecretID
	}
	k.Env = append(k.Env, "CONSUL_HTTP_TOKEN="+token("whole", policy))
	ok(t, k.Go())
	m, err := k.Master()
	ok(t, err)
	k.Redis[m].Kill()
	ok(t, k.Settled(10*time.Second))
	ok(t, k.Redis[m].Restart())
	ok(t, k.Settled(10*time.Second))
	out, stderr, code, err := k.Run(0, "", "status")
	if err != nil || code != 0 {
		t.Errorf("status: exit %d: %v\n%s%s", code, err, out, stderr)
	}
	ok(t, k.Stop())

	k.Env[len(k.Env)-1] = "CONSUL_HTTP_TOKEN=" + token("no-key", strings.NewReplacer("key_prefix", "event_prefix", "key ",
		"event ").Replace(policy))
	p, err := k.Resec("denied", 0, "agent")
	ok(t, err)
	lab.Eventually(t, 10*time.Second, func() error { return p.Said("lacks permission 'key:") })
	p.Signal(syscall.SIGTERM)
	exits(t, p, 0)
}

// Not parallel: goleak looks at all goroutines of this process, those that are here now excepted.
func TestRun_LeavesNoGoroutine(t *testing.T) {
	k := cluster(t, 1)
	before := goleak.IgnoreCurrent()
	for _, args := range [][]string{
		{"agent", "-member-id=me", "-healthcheck-interval=1s", "-healthcheck-timeout=500ms"},
		{"elect", "-member-id=me", "-healthcheck-interval=1s", "-healthcheck-timeout=500ms"},
		{"follow", "-member-id=other", "-healthcheck-interval=1s", "-healthcheck-timeout=500ms"},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan int)
		var log bytes.Buffer
		go func() {
			done <- commands.Run(ctx, append([]string{"resec", args[0], "-http-addr=" + k.Consul.HTTP(), "-redis-addr=" + k.Redis[0].Addr,
				"-consul-lock-key=" + k.Name, "-consul-service-prefix=" + k.Name}, args[1:]...), strings.NewReader(""), &log, &log)
		}()
		if args[0] != "follow" {
			lab.Eventually(t, 10*time.Second, func() error {
				e, err := k.Consul.Entries(k.Name+"-master", "")
				if err == nil && len(e) != 1 {
					err = errors.New("no master is registered yet")
				}
				return err
			})
		}
		cancel()
		if code := <-done; code != 0 {
			t.Errorf("%v left with %d:\n%s", args, code, &log)
		}
		k.Consul.CloseIdle()
		goleak.VerifyNone(t, before)
	}
}
