package commands_test

import (
	"errors"
	"fmt"
	"syscall"
	"testing"
	"time"

	"resec/commands/expect"
	"resec/scripts/lab"
)

func TestAgent_MasterKilled(t *testing.T) {
	t.Parallel()
	k, m := started(t, cluster(t, 3))
	k.Redis[m].Kill()
	expect.OK(t, k.Settled(10*time.Second))
	expect.OK(t, k.Redis[m].Restart())
	expect.OK(t, k.Settled(10*time.Second))
	expect.OK(t, k.Stop())
}

// A supervisor restarts a master at once, without its data. The replicas keep theirs.
func TestAgent_MasterRestartedEmptyAtOnce(t *testing.T) {
	t.Parallel()
	k := cluster(t, 3)
	expect.OK(t, k.Go())
	for round := range 3 {
		m, err := k.Master()
		expect.OK(t, err)
		for i := range 100 {
			if _, err := k.Redis[m].Do("SET", fmt.Sprint("k", round, "-", i), "v"); err != nil {
				t.Fatal(err)
			}
		}
		if n, err := k.Redis[m].Do("WAIT", "2", "2000"); err != nil || n != "2" {
			t.Fatalf("%s replicas have acknowledged the keys: %v", n, err)
		}
		k.Redis[m].Kill()
		expect.OK(t, k.Redis[m].Restart())
		expect.OK(t, k.Settled(10*time.Second))
		for _, r := range k.Redis {
			if n, err := r.Do("DBSIZE"); err != nil || n != fmt.Sprint(100*(round+1)+1) { // and the key of the lab
				t.Fatalf("round %d: %s has %s keys: %v", round, r.Name, n, err)
			}
		}
	}
	expect.OK(t, k.Stop())
}

func TestAgent_MasterKilledWithItsAgent(t *testing.T) {
	t.Parallel()
	k, m := started(t, cluster(t, 3))
	k.Agents[m].Kill()
	k.Redis[m].Kill()
	expect.OK(t, k.Settled(15*time.Second))
	expect.OK(t, k.Redis[m].Restart())
	expect.OK(t, k.Agent(m))
	expect.OK(t, k.Settled(10*time.Second))
	expect.OK(t, k.Stop())
}

func TestAgent_MastersAgentLeaves(t *testing.T) {
	t.Parallel()
	k, m := started(t, cluster(t, 2))
	code, err := k.Agents[m].Stop(syscall.SIGQUIT)
	if err != nil || code != 0 {
		t.Fatalf("the agent exited with %d: %v", code, err)
	}
	lab.Eventually(t, 10*time.Second, func() error {
		return errors.Join(k.Redis[1-m].IsMaster(1), k.Redis[m].Follows(k.Redis[1-m]))
	})
	expect.OK(t, k.Stop())
}

// After a planned restart of agent and Redis the member is deregistered, and its AOF starts an unknown replication ID. It is
// still recognized as a member.
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
				t.Fatalf("the agent exited with %d: %v", code, err)
			}
			_, err := k.Redis[i].Stop(syscall.SIGTERM)
			expect.OK(t, err)
			expect.OK(t, k.Settled(10*time.Second))
			expect.OK(t, k.Redis[i].Restart())
			expect.OK(t, k.Agent(i))
			expect.OK(t, k.Settled(15*time.Second))
			expect.OK(t, k.Stop())
		})
	}
}

func TestAgent_KilledAndRestarted(t *testing.T) {
	t.Parallel()
	k, m := started(t, cluster(t, 2))
	k.Agents[m].Kill()
	expect.OK(t, k.Agent(m))
	lab.Eventually(t, 5*time.Second, func() error { return k.Agents[m].Said("adopted the predecessor's session") })
	expect.OK(t, k.Settled(5*time.Second))
	if n, err := k.Master(); err != nil || n != m {
		t.Errorf("the master changed from m%d to m%d: %v", m, n, err)
	}
	expect.OK(t, k.Stop())
}
