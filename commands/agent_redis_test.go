package commands_test

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"resec/commands/expect"
	"resec/scripts/lab"
)

func TestAgent_RedisUnhealthyAndBack(t *testing.T) {
	t.Parallel()
	k, m := started(t, cluster(t, 2))
	k.Redis[m].Freeze()
	lab.Eventually(t, 10*time.Second, func() error { return k.Redis[1-m].Is("role", "master") })
	lab.Eventually(t, 5*time.Second, func() error {
		e, err := k.Consul.Entries(k.Name+"-slave", "")
		if err == nil && (len(e) != 1 || e[0].Checks.AggregatedStatus() != "critical") {
			err = fmt.Errorf("the frozen Redis is not listed as a critical replica: %d entries", len(e))
		}
		return err
	})
	expect.OK(t, k.Agents[m].Said("redis is unhealthy"))
	k.Redis[m].Thaw()
	expect.OK(t, k.Settled(10*time.Second))
	expect.OK(t, k.Agents[m].Said("redis is healthy"))
	expect.OK(t, k.Stop())
}

// A Redis that is busy with a script answers BUSY, so its agent keeps the lock.
func TestAgent_RedisBusy(t *testing.T) {
	t.Parallel()
	k, m := started(t, cluster(t, 2, "--lua-time-limit", "50"))
	script := make(chan error, 1)
	go func() { script <- k.Redis[m].Busy(3 * time.Second) }()
	lab.Eventually(t, 2*time.Second, func() error {
		if _, err := k.Redis[m].Do("PING"); err == nil || !strings.HasPrefix(err.Error(), "BUSY") {
			return fmt.Errorf("redis is not busy: %v", err)
		}
		return nil
	})
	if err := <-script; err == nil {
		t.Error("the script was not killed")
	}
	expect.OK(t, k.Settled(5*time.Second))
	if n, err := k.Master(); err != nil || n != m || strings.Contains(k.Agents[m].Output(), "unhealthy") {
		t.Errorf("m%d is master instead of the busy redis, or that was called unhealthy: %v", n, err)
	}
	expect.OK(t, k.Stop())
}

func TestAgent_RedisAbsentAtStart(t *testing.T) {
	t.Parallel()
	k := cluster(t, 1)
	k.Redis[0].Kill()
	expect.OK(t, k.Agent(0))
	lab.Eventually(t, 5*time.Second, func() error { return k.Agents[0].Said("redis is unhealthy") })
	expect.OK(t, k.Redis[0].Restart())
	expect.OK(t, k.Settled(10*time.Second))
	expect.OK(t, k.Stop())
}

// A connection that is closed is no proof that Redis is down.
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
		expect.OK(t, k.Redis[m].IsMaster(1))
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
			return errors.New("redis still closes connections")
		}
		return nil
	})
	expect.OK(t, k.Settled(5*time.Second))
	for _, p := range k.Agents {
		for _, moved := range []string{"no longer master", "the master is gone", "unhealthy"} {
			if strings.Contains(p.Output(), moved) {
				t.Errorf("%s logged %q:\n%s", p.Name, moved, p.Output())
			}
		}
	}
	expect.OK(t, k.Stop())
}

// Agents and replicas authenticate with a password. A wrong one is logged, and changes nothing. No log shows the password.
func TestAgent_Password(t *testing.T) {
	t.Parallel()
	k := cluster(t, 2, "--requirepass", "secret")
	k.Env = append(k.Env, "REDIS_PASSWORD=wrong")
	expect.OK(t, k.Agent(0))
	lab.Eventually(t, 10*time.Second, func() error { return k.Agents[0].Said("WRONGPASS") })
	if code, err := k.Agents[0].Stop(syscall.SIGTERM); err != nil || code != 0 {
		t.Fatalf("exit %d: %v", code, err)
	}
	k.Agents[0] = nil
	k.Env[len(k.Env)-1] = "REDIS_PASSWORD=secret"
	_, m := started(t, k)
	k.Redis[m].Kill()
	expect.OK(t, k.Settled(10*time.Second))
	expect.OK(t, k.Redis[m].Restart())
	expect.OK(t, k.Settled(10*time.Second))
	for _, p := range k.Agents {
		if strings.Contains(p.Output(), "secret") {
			t.Errorf("%s logs the password:\n%s", p.Name, p.Output())
		}
	}
	expect.OK(t, k.Stop())
}

// If the password is changed and the agents do not have it, the master stays master.
func TestAgent_RedisLetsNobodyIn(t *testing.T) {
	t.Parallel()
	k, m := started(t, cluster(t, 2))
	until := time.Now().Add(4 * time.Second) // longer than the TTL of a check
	for _, r := range k.Redis {
		_, err := r.Do("CONFIG", "SET", "requirepass", "changed") // the connection of the test stays open
		expect.OK(t, err)
		_, err = r.Do("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
		expect.OK(t, err)
	}
	lab.Eventually(t, 10*time.Second, func() error {
		expect.OK(t, k.Redis[m].Is("role", "master"))
		_, err := k.Redis[m].Do("SET", "k", "v")
		expect.OK(t, err)
		if time.Now().Before(until) {
			return errors.New("the agents are denied access")
		}
		return nil
	})
	expect.OK(t, k.Agents[m].Said("event=redis_access_denied"))
	e, err := k.Consul.Entries(k.Name+"-master", "")
	if err != nil || len(e) != 1 || e[0].Checks.AggregatedStatus() != "passing" {
		t.Errorf("the master is not listed: %d entries, %v", len(e), err)
	}
	for _, r := range k.Redis {
		_, err := r.Do("CONFIG", "SET", "requirepass", "")
		expect.OK(t, err)
	}
	expect.OK(t, k.Settled(15*time.Second))
	if n, err := k.Master(); err != nil || n != m {
		t.Errorf("the master changed from m%d to m%d: %v", m, n, err)
	}
	expect.OK(t, k.Stop())
}
