package commands_test

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"resec/commands/expect"
	"resec/scripts/lab"
)

func TestAgent_OneMasterAndTheOthersFollow(t *testing.T) {
	for n := 1; n <= 3; n++ {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			t.Parallel()
			k := cluster(t, n)
			expect.OK(t, k.Go())
			expect.OK(t, k.Stop())
			for _, role := range []string{"-master", "-slave"} {
				if e, err := k.Consul.Entries(k.Name+role, ""); err != nil || len(e) != 0 {
					t.Errorf("still in the catalogue: %v %v", e, err)
				}
			}
			if s, _, err := k.Consul.Client.Session().List(nil); err != nil || strings.Contains(fmt.Sprint(s), k.Name) {
				t.Errorf("sessions that still exist: %v %v", s, err)
			}
		})
	}
}

func TestAgent_OneServiceWithTags(t *testing.T) {
	t.Parallel()
	k := cluster(t, 2)
	k.Env = append(k.Env, "CONSUL_SERVICE_NAME="+k.Name, "MASTER_TAGS=primary,rw", "SLAVE_TAGS=replica,ro")
	for i := range k.Redis {
		expect.OK(t, k.Agent(i))
	}
	tagged := func(tag, addr string) error {
		e, err := k.Consul.Entries(k.Name, tag)
		if err == nil && (len(e) != 1 || net.JoinHostPort(e[0].Service.Address, fmt.Sprint(e[0].Service.Port)) != addr ||
			e[0].Checks.AggregatedStatus() != "passing" || len(e[0].Service.Tags) != 2) {
			err = fmt.Errorf("tag %s: want one passing entry at %s", tag, addr)
		}
		return err
	}
	settled := func() error {
		m, err := k.Master()
		if err != nil {
			return err
		}
		return errors.Join(k.Redis[1-m].Follows(k.Redis[m]), tagged("primary", k.Redis[m].Addr), tagged("replica",
			k.Redis[1-m].Addr))
	}
	lab.Eventually(t, 15*time.Second, func() error { return errors.Join(settled(), k.Recorded()) })
	m, err := k.Master()
	expect.OK(t, err)
	k.Redis[m].Kill()
	lab.Eventually(t, 10*time.Second, func() error {
		return errors.Join(k.Redis[1-m].Is("role", "master"), tagged("primary", k.Redis[1-m].Addr))
	})
	expect.OK(t, k.Redis[m].Restart())
	lab.Eventually(t, 10*time.Second, settled)
	expect.OK(t, k.Stop())
}

// Each form of an announced address is that of the master once.
func TestAgent_AnnounceAddresses(t *testing.T) {
	t.Parallel()
	c := consul(t)
	k := cluster(t, 0)
	port := func(host string) int {
		p, err := lab.FreePort(host)
		expect.OK(t, err)
		return p
	}
	p0, p1, p2 := port(c.Host), port("127.0.0.1"), port("::1")
	for i, a := range []struct{ redis, announce string }{
		{fmt.Sprintf("%s:%d", c.Host, p0), fmt.Sprint(p0)},                 // a port: the address is that of the Consul node
		{fmt.Sprintf("127.0.0.1:%d", p1), fmt.Sprintf("localhost:%d", p1)}, // a host name
		{fmt.Sprintf("[::1]:%d", p2), fmt.Sprintf("[::1]:%d", p2)},         // IPv6
	} {
		r, err := k.StartRedisAt(fmt.Sprintf("r%d", i), a.redis)
		expect.OK(t, err)
		if strings.Contains(a.announce, ":") {
			r.Announced = a.announce
		}
		k.Redis = append(k.Redis, r)
		k.Agents = append(k.Agents, nil)
		bin, err := lab.Resec()
		expect.OK(t, err)
		// Without a subcommand resec runs the agent.
		k.Agents[i], err = k.Start(fmt.Sprintf("agent%d", i), append(k.Env, "REDIS_ADDR="+a.redis, "ANNOUNCE_ADDR="+a.announce),
			bin)
		expect.OK(t, err)
	}
	linked := func() error { _, err := k.Linked(); return errors.Join(err, k.Recorded()) }
	for range k.Redis {
		lab.Eventually(t, 15*time.Second, linked)
		m, err := k.Master()
		expect.OK(t, err)
		k.Redis[m].Kill()
		lab.Eventually(t, 10*time.Second, linked)
		expect.OK(t, k.Redis[m].Restart())
	}
	lab.Eventually(t, 10*time.Second, linked)
	expect.OK(t, k.Stop())
}

// A Redis with replica-priority 0 replicates, and is never promoted.
func TestAgent_PriorityZero(t *testing.T) {
	t.Parallel()
	k := cluster(t, 2)
	if _, err := k.Redis[0].Do("CONFIG", "SET", "replica-priority", "0"); err != nil {
		t.Fatal(err)
	}
	_, m := started(t, k)
	if m != 1 {
		t.Fatalf("m%d is the master", m)
	}
	k.Redis[1].Kill()
	lab.Eventually(t, 5*time.Second, func() error { return k.Agents[0].Said("its replica-priority is 0") })
	expect.OK(t, k.Redis[0].Is("role", "slave"))
	expect.OK(t, k.Redis[1].Restart())
	expect.OK(t, k.Stop())
}

// A master that an operator makes a replica becomes master again.
func TestAgent_DemotedByHand(t *testing.T) {
	t.Parallel()
	k, m := started(t, cluster(t, 2))
	if _, err := k.Redis[m].Do("REPLICAOF", "127.0.0.1", "1"); err != nil {
		t.Fatal(err)
	}
	expect.OK(t, k.Settled(10*time.Second))
	expect.OK(t, k.Stop())
}
