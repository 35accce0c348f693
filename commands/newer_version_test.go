package commands_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"

	"resec/commands/expect"
	"resec/scripts/lab"
)

const newerVersionText = "the state was written by a newer resec: its version is 2, this resec knows version 1; " +
	"upgrade resec on this host"

// upgradedCluster is a cluster of two whose state a newer program has written.
type upgradedCluster struct {
	*lab.Cluster
	kv            *api.KV
	key           string // of the state
	before, newer string // the state
	master        int
}

// upgraded starts two agents of this version, and then makes the state of version 2.
func upgraded(t *testing.T) upgradedCluster {
	t.Helper()
	k := cluster(t, 2)
	expect.OK(t, k.Agent(0))
	expect.OK(t, k.Agent(1))
	expect.OK(t, k.Settled(15*time.Second))
	m, err := k.Master()
	expect.OK(t, err)
	u := upgradedCluster{Cluster: k, kv: k.Consul.Client.KV(), key: k.Name + "/.lock/state", master: m}
	pair, _, err := u.kv.Get(u.key, nil)
	expect.OK(t, err)
	u.before = string(pair.Value)
	u.newer = strings.Replace(u.before, `"version":1`, `"version":2`, 1)
	_, err = u.kv.Put(kvPair(u.key, u.newer), nil)
	expect.OK(t, err)
	lab.Eventually(t, 5*time.Second, func() error { return k.Agents[1-m].Said(newerVersionText) })
	return u
}

// A state of a newer version is left alone by every program: by agents that run, which keep their Redis as it is, by one that
// starts, by elect, and by an operator's commands. Once the state can be read again the agents continue.
func TestNewerVersion_IsLeftAlone(t *testing.T) {
	t.Parallel()
	u := upgraded(t)
	k, kv, key, newer, m, replica := u.Cluster, u.kv, u.key, u.newer, u.master, 1-u.master
	for _, args := range [][]string{{"elect", "-timeout=5s"}, {"failover", "-to", "m1", "-force"}, {"switchover"},
		{"forget", "m1"}} {
		if _, stderr, code, err := k.Run(0, "", args...); err != nil || code != 1 || !strings.Contains(stderr, newerVersionText) {
			t.Errorf("%s: exit %d: %v\n%s", args[0], code, err, stderr)
		}
	}
	k.Agents[replica].Kill()
	expect.OK(t, k.Agent(replica))
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if code, err := k.Agents[replica].Wait(ctx); err != nil || code != 1 {
		t.Errorf("an agent that starts exits with %d: %v", code, err)
	}
	expect.OK(t, k.Agents[replica].Said(newerVersionText))
	if _, err := k.Redis[m].Do("SET", "k", "v"); err != nil {
		t.Errorf("the master refuses writes: %v", err)
	}
	expect.OK(t, k.Redis[replica].Is("role", "slave"))
	if after, _, err := kv.Get(key, nil); err != nil || string(after.Value) != newer {
		t.Errorf("the state is now %s: %v", after.Value, err)
	}
	_, err := kv.Put(kvPair(key, u.before), nil)
	expect.OK(t, err)
	healthy := func() int { return strings.Count(k.Agents[replica].Output(), "event=redis_healthy") }
	were := healthy()
	expect.OK(t, k.Agent(replica))
	lab.Eventually(t, 15*time.Second, func() error { // it streamed without its agent, too
		if healthy() == were {
			return errors.New("the agent has not started")
		}
		return nil
	})
	expect.OK(t, k.Settled(15*time.Second))
	expect.OK(t, k.Stop())
}

// A Redis that restarts as a master while the state is of a newer version is parked, although nothing is written to Consul.
func TestNewerVersion_ParksUnelectedMaster(t *testing.T) {
	t.Parallel()
	u := upgraded(t)
	k, kv, key, newer, replica := u.Cluster, u.kv, u.key, u.newer, 1-u.master
	k.Redis[replica].Kill()
	expect.OK(t, k.Redis[replica].Start())
	lab.Eventually(t, 15*time.Second, func() error { return k.Redis[replica].Is("role", "slave", "master_port", "1") })
	if after, _, err := kv.Get(key, nil); err != nil || string(after.Value) != newer {
		t.Errorf("the state is now %s: %v", after.Value, err)
	}
	_, err := kv.Put(kvPair(key, u.before), nil)
	expect.OK(t, err)
	expect.OK(t, k.Settled(15*time.Second))
	expect.OK(t, k.Stop())
}
