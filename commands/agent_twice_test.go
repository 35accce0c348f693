package commands_test

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"testing"
	"time"

	"resec/commands/expect"
	"resec/scripts/lab"
)

func TestAgent_TwoClustersOnOneConsulAgent(t *testing.T) {
	t.Parallel()
	a := cluster(t, 2)
	b, err := lab.ForTest(t).NewCluster(a.Consul, a.Name+"-b", 2)
	expect.OK(t, err)
	expect.OK(t, a.Go())
	expect.OK(t, b.Go())
	expect.OK(t, a.Settled(5*time.Second))
	expect.OK(t, a.Stop())
	expect.OK(t, b.Settled(5*time.Second))
	expect.OK(t, b.Stop())
}

func TestAgent_TwoClustersOnOneLockKey(t *testing.T) {
	t.Parallel()
	a := cluster(t, 1)
	expect.OK(t, a.Go())
	b, err := lab.ForTest(t).NewCluster(a.Consul, a.Name+"-b", 1)
	expect.OK(t, err)
	b.Env = append(b.Env, "CONSUL_LOCK_KEY="+a.Name+"/.lock")
	expect.OK(t, b.Agent(0))
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if code, err := b.Agents[0].Wait(ctx); err != nil || code != 1 {
		t.Errorf("exit code %d: %v\n%s", code, err, b.Agents[0].Output())
	}
	expect.OK(t, b.Agents[0].Said("two clusters need two CONSUL_LOCK_KEYs"))
	expect.OK(t, a.Settled(5*time.Second))
	expect.OK(t, a.Stop())
}

// An agent of another cluster, with a lock key and service names of its own, beside a Redis that a live agent manages: it waits, and
// says why. Once that agent has ended it works.
func TestAgent_OfAnotherClusterBesideOneRedis(t *testing.T) {
	t.Parallel()
	k := cluster(t, 2)
	expect.OK(t, k.Go())
	m, err := k.Master()
	expect.OK(t, err)
	other, err := k.Resec("other", m, "agent", "-member-id=other", "-consul-lock-key="+k.Name+"-other/.lock",
		"-consul-service-prefix="+k.Name+"-other")
	expect.OK(t, err)
	lab.Eventually(t, expect.Patience, func() error { return other.Said("two agents beside one redis need one CONSUL_LOCK_KEY") })
	expect.OK(t, k.Settled(3*time.Second))
	if other.Said("event=elected") == nil {
		t.Error("it was elected")
	}
	expect.OK(t, k.Stop())
	lab.Eventually(t, expect.Patience, func() error { return other.Said("event=redis_healthy") })
	other.Signal(syscall.SIGTERM)
	exits(t, other, 0)
}

// Two agents for one Redis start at the same time: one works, the other waits. An agent with another id for that Redis waits,
// too.
func TestAgent_TwoAtOnce(t *testing.T) {
	t.Parallel()
	k := cluster(t, 1)
	var both []*lab.Process
	for i := range 2 {
		p, err := k.Resec(fmt.Sprint("twin", i), 0, "agent")
		expect.OK(t, err)
		both = append(both, p)
	}
	one := func() error {
		waiting, working := 0, 0
		for _, p := range both {
			if p.Said("manages this redis already") == nil || p.Said("not started yet") == nil {
				waiting++
			}
			if p.Said("promoted") == nil {
				working++
			}
		}
		if waiting != 1 || working != 1 {
			return fmt.Errorf("%d agents wait and %d work, want one of each", waiting, working)
		}
		return nil
	}
	lab.Eventually(t, 10*time.Second, one)
	lab.Eventually(t, 10*time.Second, func() error { _, err := k.Consul.Lookup(t.Context(), k.Name+"-master"); return err })
	other, err := k.Resec("other", 0, "agent", "-member-id=other")
	expect.OK(t, err)
	lab.Eventually(t, 10*time.Second, func() error { return other.Said("is that of the live member") })
	for _, p := range append(both, other) {
		p.Signal(syscall.SIGTERM)
		exits(t, p, 0)
	}
}

func TestAgent_TwoMembersOfOneName(t *testing.T) {
	t.Parallel()
	k := cluster(t, 2)
	expect.OK(t, k.Agent(0))
	lab.Eventually(t, 10*time.Second, func() error { _, err := k.Consul.Lookup(t.Context(), k.Name+"-master"); return err })
	bin, err := lab.Resec()
	expect.OK(t, err)
	second, err := k.Start("second", append(append(k.Env, k.RedisEnv(1)...), "MEMBER_ID=m0"), bin)
	expect.OK(t, err)
	lab.Eventually(t, 10*time.Second, func() error { return second.Said(`MEMBER_ID \"m0\" is also that of the live service`) })
	second.Signal(syscall.SIGTERM)
	exits(t, second, 0)
	expect.OK(t, k.Redis[0].IsMaster(0))
	expect.OK(t, k.Redis[1].Is("role", "master")) // not changed
	expect.OK(t, k.Stop())
}

// A second agent for one Redis waits, and exits without changing anything; so does one that announces the address of another
// Redis.
func TestAgent_SecondOneWaits(t *testing.T) {
	t.Parallel()
	k := cluster(t, 3)
	expect.OK(t, k.Agent(0))
	lab.Eventually(t, 10*time.Second, func() error { _, err := k.Consul.Lookup(t.Context(), k.Name+"-master"); return err })
	second, err := k.Resec("again", 0, "agent")
	expect.OK(t, err)
	wrongAddr, err := k.Resec("wrong-addr", 1, "agent", "-announce-addr", k.Redis[2].Addr, "-member-id=wrong-addr")
	expect.OK(t, err)
	lab.Eventually(t, 10*time.Second, func() error {
		return errors.Join(second.Said("manages this redis already"), wrongAddr.Said("leads to another redis than REDIS_ADDR"))
	})
	for _, p := range []*lab.Process{second, wrongAddr} {
		p.Signal(syscall.SIGTERM)
		exits(t, p, 0)
	}
	addr, err := k.Consul.Lookup(t.Context(), k.Name+"-master")
	if err != nil || addr != k.Redis[0].Addr {
		t.Errorf("the master is at %s: %v", addr, err)
	}
	expect.OK(t, k.Stop())
}
