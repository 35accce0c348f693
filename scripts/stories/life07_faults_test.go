package stories_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"resec/scripts/lab"
)

// descriptors sets how many descriptors a process may have, and returns how many it could have before.
func descriptors(t *testing.T, p *lab.Process, n uint64) (before uint64) {
	t.Helper()
	var was unix.Rlimit
	ok(t, unix.Prlimit(p.PID(), unix.RLIMIT_NOFILE, nil, &was))
	ok(t, unix.Prlimit(p.PID(), unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: n, Max: was.Max}, nil))
	return was.Cur
}

// says returns how many lines of a process have a text.
func says(p *lab.Process, text string) int { return strings.Count(p.Output(), text) }

// unmoved returns an error if anything moved: the master, its term, its entry in the catalogue, or a replica's link.
func unmoved(t *testing.T, k *lab.Cluster, m int) error {
	got, err := k.Master()
	if err == nil && got != m {
		err = fmt.Errorf("the master is m%d", got)
	}
	addr, lookup := k.Consul.Lookup(t.Context(), k.Name+"-master")
	if lookup == nil && addr != k.Redis[m].Addr {
		lookup = fmt.Errorf("the catalogue names %s", addr)
	}
	for _, i := range others(k, m) {
		err = errors.Join(err, k.Redis[i].Follows(k.Redis[m]))
	}
	return errors.Join(err, lookup)
}

// Agents without a descriptor left call no Redis down or frozen: nothing moves. Each says so once, and recovers without a restart.
func TestLife07_NoDescriptorsLeft(t *testing.T) {
	t.Parallel()
	k := planned(t, lab.Plan{Members: 3, StartParked: true})
	m := answeringAll(t, k)
	// An agent that has just started has few connections to Consul, and can open no other one from here on.
	throughout(t, 2*interval, seldom(func() error { return unmoved(t, k, m) }))
	var before []uint64
	for _, a := range k.Agents {
		before = append(before, descriptors(t, a, 3))
	}
	for _, r := range k.Redis { // replicas stay: they are clients of another type
		do(t, r, "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
	}
	for i, a := range k.Agents {
		lab.Eventually(t, patience, func() error { return a.Said("event=redis_not_asked") })
		if i != m {
			lab.Eventually(t, patience, func() error { return a.Said("event=master_not_asked") })
		}
	}
	throughout(t, 4*time.Second, func() error {
		for i := range k.Redis { // its accept fails, too
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			var d net.Dialer
			if conn, err := d.DialContext(ctx, "tcp", web(k, i)); err == nil {
				_ = conn.Close()
			}
			cancel()
		}
		return unmoved(t, k, m)
	})
	for i, a := range k.Agents {
		descriptors(t, a, before[i])
		lab.Eventually(t, patience, func() error { // once at the start, and again now
			if n := says(a, "event=redis_healthy"); n < 2 {
				return fmt.Errorf("m%d found its redis healthy %d times", i, n)
			}
			return nil
		})
		for _, event := range []string{"redis_not_asked", "master_not_asked", "http_accept_failed"} {
			if n := says(a, "event="+event); n > 1 {
				t.Errorf("m%d said %s %d times", i, event, n)
			}
		}
		for _, moved := range []string{"redis_unhealthy", "term_ended", "lock_preempted"} {
			if says(a, "event="+moved) > 0 {
				t.Errorf("m%d said %s", i, moved)
			}
		}
	}
	whole(t, k)
	leads(t, k, m)
	k.Redis[m].Kill() // from here on, as ever
	succeededBy(t, k, m)
	ok(t, k.Redis[m].Start())
	whole(t, k)
	ok(t, k.Stop())
}

// The names of the Redis servers do not resolve for a while: their last addresses are asked, and nothing moves.
func TestLife07_NamesDoNotResolve(t *testing.T) {
	t.Parallel()
	// Half of the timeout is for a resolver that does not answer.
	k := planned(t, lab.Plan{Members: 2, StartParked: true, Env: []string{"HEALTHCHECK_INTERVAL=3s", "HEALTHCHECK_TIMEOUT=2s"}})
	hosts := filepath.Join(t.TempDir(), "hosts")
	names := "127.0.0.1 localhost\n"
	for i, r := range k.Redis {
		names += fmt.Sprintf("%s life07-%d.invalid\n", r.Host, i)
	}
	ok(t, os.WriteFile(hosts, []byte(names), 0o644))
	for i := range k.Redis {
		script := fmt.Sprintf("mount --bind %s /etc/hosts && exec resec agent -redis-addr life07-%d.invalid:6379", hosts, i)
		a, err := k.Script(fmt.Sprintf("%s-agent%d", k.Name, i), i, "exec unshare -m sh -c '"+script+"'")
		ok(t, err)
		k.Agents[i] = a
	}
	whole(t, k)
	m, err := k.Master()
	ok(t, err)
	ok(t, os.WriteFile(hosts, []byte("127.0.0.1 localhost\n"), 0o644)) // the same file: it stays mounted
	until := time.Now().Add(6 * time.Second)                           // the resolver reads the file again after 5 s
	throughout(t, time.Until(until), func() error { return unmoved(t, k, m) })
	for range 3 {
		for _, r := range k.Redis {
			do(t, r, "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
		}
		throughout(t, time.Second, func() error { return unmoved(t, k, m) })
	}
	for _, a := range k.Agents {
		if says(a, "event=redis_unhealthy") > 0 {
			t.Errorf("%s called its redis unhealthy", a.Name)
		}
	}
	k.Redis[m].Kill()
	succeededBy(t, k, m)
	ok(t, k.Redis[m].Start())
	whole(t, k)
	ok(t, k.Stop())
}

// A replica's host has no route for a while. Its agent takes that for no fault of the master, and its redis is not parked.
func TestLife07_NoRoute(t *testing.T) {
	t.Parallel()
	k := planned(t, lab.Plan{Members: 3, StartParked: true, Network: true, Servers: 1})
	m := started(t, k)
	cut := others(k, m)[0]
	before, err := stateOf(k)
	ok(t, err)
	w := watched(t, k)
	ok(t, k.Hosts[cut].Unroute())
	lab.Eventually(t, patience, func() error { return k.Agents[cut].Said("network is unreachable") })
	throughout(t, 8*time.Second, seldom(func() error { // longer than CONSUL_LOCK_TTL
		for _, event := range []string{"event=master_down", "event=elected", "event=master_unreachable"} {
			if says(k.Agents[cut], event) > 0 {
				return fmt.Errorf("%s says %s", k.Agents[cut].Name, event)
			}
		}
		return nil
	}))
	ok(t, k.Hosts[cut].Route())
	v, now := judged(t, k, w)
	after, err := stateOf(k)
	ok(t, err)
	if now != m || after.Master.Term != before.Master.Term {
		t.Errorf("the master is m%d in term %d, and was m%d in term %d", now, after.Master.Term, m, before.Master.Term)
	}
	if err := v.Sound(); err != nil {
		t.Error(err)
	}
	ok(t, k.Stop())
}
