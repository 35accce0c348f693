package commands_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"

	"resec/commands/lock"
	"resec/scripts/lab"
)

// exits waits for a process and compares its exit code.
func exits(t *testing.T, p *lab.Process, want int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
	defer cancel()
	if code, err := p.Wait(ctx); err != nil || code != want {
		t.Fatalf("%s ended with %d, want %d: %v\n%s", p.Name, code, want, err, p.Output())
	}
	ok(t, p.Sane())
}

// destroySession ends the session that holds the cluster's lock.
func destroySession(t *testing.T, k *lab.Cluster) {
	t.Helper()
	pair, _, err := k.Consul.Client.KV().Get(k.Name+"/.lock", nil)
	ok(t, err)
	if pair == nil || pair.Session == "" {
		t.Fatal("nobody holds the lock")
	}
	_, err = k.Consul.Client.Session().Destroy(pair.Session, nil)
	ok(t, err)
}

func TestElect_BuiltinPromotesAndRegisters(t *testing.T) {
	t.Parallel()
	k := cluster(t, 2)
	e, err := k.Resec("elect0", 0, "elect")
	ok(t, err)
	master := func(addr string) func() error {
		return func() error {
			got, err := k.Consul.Lookup(t.Context(), k.Name+"-master")
			if err == nil && got != addr {
				err = fmt.Errorf("the master is at %s, not at %s", got, addr)
			}
			return err
		}
	}
	lab.Eventually(t, 10*time.Second, master(k.Redis[0].Addr))
	pair, _, err := k.Consul.Client.KV().Get(k.Name+"/.lock", nil)
	ok(t, err)
	if pair.Flags != lock.Flag || string(pair.Value) != "m0" {
		t.Errorf("the lock has flags %#x and value %q", pair.Flags, pair.Value)
	}
	if _, err := k.Redis[0].Do("SET", "k", "v"); err != nil {
		t.Fatal(err)
	}
	// The second takes over without losing what the first has, and the first is fenced when it lets go.
	e2, err := k.Resec("elect1", 1, "elect")
	ok(t, err)
	lab.Eventually(t, 5*time.Second, func() error { return e2.Said("the lock is held by m0") })
	e.Signal(syscall.SIGTERM)
	exits(t, e, 0)
	lab.Eventually(t, 10*time.Second, master(k.Redis[1].Addr))
	if v, err := k.Redis[1].Do("GET", "k"); err != nil || v != "v" {
		t.Errorf("the successor has %q: %v", v, err)
	}
	e2.Signal(syscall.SIGTERM)
	exits(t, e2, 0)
	if _, err := k.Redis[1].Do("SET", "k", "w"); err == nil || !strings.HasPrefix(err.Error(), "NOREPLICAS") {
		t.Errorf("after elect let go, a write got %v", err)
	}
}

func TestElect_LeavesWhenRedisDies(t *testing.T) {
	t.Parallel()
	k := cluster(t, 1)
	e, err := k.Resec("elect", 0, "elect")
	ok(t, err)
	lab.Eventually(t, 10*time.Second, func() error { return k.Redis[0].IsMaster(0) })
	lab.Eventually(t, 10*time.Second, func() error { return e.Said("promoted") })
	k.Redis[0].Kill()
	exits(t, e, 3)
}

// handler is a shell script that records its events and starts a grandchild.
const recording = `#!/bin/sh
cat >> %[1]s/events; echo "held=$CONSUL_LOCK_HELD" >> %[1]s/events
sleep 1000 & echo $! >> %[1]s/pids
`

func TestElect_CustomHandlerGetsPromoteAndFence(t *testing.T) {
	t.Parallel()
	k := cluster(t, 1)
	h := filepath.Join(k.Dir, "handler")
	ok(t, os.WriteFile(h, fmt.Appendf(nil, recording, k.Dir), 0o755))
	e, err := k.Resec("elect", 0, "elect", h)
	ok(t, err)
	events := func(want string) func() error {
		return func() error {
			data, _ := os.ReadFile(filepath.Join(k.Dir, "events"))
			if !strings.Contains(string(data), want) {
				return fmt.Errorf("no %s in the events:\n%s", want, data)
			}
			return nil
		}
	}
	lab.Eventually(t, 10*time.Second, events(`{"type":"promote","term":1}held=true`))
	lab.Eventually(t, 10*time.Second, func() error { _, err := k.Consul.Lookup(t.Context(), k.Name+"-master"); return err })
	destroySession(t, k)
	exits(t, e, 3)
	ok(t, events(`{"type":"fence","term":1,"reason":"the lock is lost: `)())
	if entries, err := k.Consul.Entries(k.Name+"-master", ""); err != nil || len(entries) > 0 {
		t.Errorf("left in the catalogue: %d %v", len(entries), err)
	}
	pids, err := os.ReadFile(filepath.Join(k.Dir, "pids"))
	ok(t, err)
	grandchildren := strings.Fields(string(pids))
	if len(grandchildren) != 2 {
		t.Fatalf("grandchildren: %q", grandchildren)
	}
	for _, p := range grandchildren {
		pid, err := strconv.Atoi(p)
		ok(t, err)
		lab.Eventually(t, 2*time.Second, func() error {
			if alive(pid) {
				return fmt.Errorf("grandchild %d lives", pid)
			}
			return nil
		})
	}
}

// alive tells whether a process is there and no zombie.
func alive(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !strings.Contains(string(stat), ") Z ")
}

func TestElect_ExitCodes(t *testing.T) {
	t.Parallel()
	k := cluster(t, 1)
	for _, c := range []struct {
		name string
		args []string
		code int
		want string
	}{
		{"the promote handler fails", []string{"elect", "exit 7"}, 2, "exit status 7"},
		{"a child ends well", []string{"elect", "-child", "true"}, 0, ""},
		{"a child fails", []string{"elect", "-child", "false"}, 0, ""},
		{"a child fails and it counts", []string{"elect", "-child", "-child-exit-code", "false"}, 2, "exit status 1"},
		{"no shell", []string{"elect", "-child", "-child-exit-code", "-shell=false", "no such program"}, 2, "no such program"},
		{"child without a handler", []string{"elect", "-child"}, 1, "-child takes a handler"},
	} {
		_, stderr, code, err := k.Run(0, "", c.args...)
		if err != nil || code != c.code || !strings.Contains(stderr, c.want) {
			t.Errorf("%s: exit %d, want %d: %v\n%s", c.name, code, c.code, err, stderr)
		}
	}
	// Each of them has given the lock back.
	pair, _, err := k.Consul.Client.KV().Get(k.Name+"/.lock", nil)
	if err != nil || pair.Session != "" {
		t.Errorf("the lock is held by %q: %v", pair.Session, err)
	}
}

func TestElect_ExcludesConsulLock(t *testing.T) {
	t.Parallel()
	k := cluster(t, 1)
	theirs, err := k.Script("consul-lock", 0, "exec consul lock "+k.Name+" 'echo inside; sleep 1000'")
	ok(t, err)
	lab.Eventually(t, 10*time.Second, func() error { return theirs.Said("inside") })
	_, stderr, code, err := k.Run(0, "", "elect", "-timeout=1s")
	if err != nil || code != 4 || !strings.Contains(stderr, "timed out waiting for the lock "+k.Name+"/.lock") {
		t.Errorf("while consul lock holds it: exit %d: %v\n%s", code, err, stderr)
	}
	ours, err := k.Resec("elect", 0, "elect")
	ok(t, err)
	_, err = theirs.Stop(syscall.SIGTERM)
	ok(t, err)
	lab.Eventually(t, 10*time.Second, func() error { return ours.Said("promoted") })
	// Now the other way round.
	again, err := k.Script("consul-lock-again", 0, "exec consul lock -timeout=1s "+k.Name+" 'echo inside'")
	ok(t, err)
	exits(t, again, 1)
	ours.Signal(syscall.SIGINT)
	exits(t, ours, 0)
	last, err := k.Script("consul-lock-last", 0, "exec consul lock -timeout=5s "+k.Name+" 'echo inside'")
	ok(t, err)
	exits(t, last, 0)
	ok(t, last.Said("inside"))
}

func TestElect_ForeignKeyIsLeftAlone(t *testing.T) {
	t.Parallel()
	k := cluster(t, 1)
	kv := k.Consul.Client.KV()
	_, err := kv.Put(kvPair(k.Name+"/.lock", "mine"), nil)
	ok(t, err)
	_, stderr, code, err := k.Run(0, "", "elect", "-timeout=5s")
	if err != nil || code != 1 || !strings.Contains(stderr, "the lock key is in use, and not as a lock: "+k.Name+"/.lock") {
		t.Errorf("exit %d: %v\n%s", code, err, stderr)
	}
	if p, _, err := kv.Get(k.Name+"/.lock", nil); err != nil || string(p.Value) != "mine" {
		t.Errorf("the key is now %q: %v", p.Value, err)
	}
}

func TestElect_Flags(t *testing.T) {
	t.Parallel()
	k := cluster(t, 1)
	name := k.Name + "-named"
	e, err := k.Resec("elect", 0, "elect", "-register=false", "-name="+name, "-log-level=ERROR", "-verbose")
	ok(t, err)
	lab.Eventually(t, 10*time.Second, func() error { return e.Said("promoted") }) // -verbose shows it
	sessions, _, err := k.Consul.Client.Session().List(nil)
	if err != nil || !strings.Contains(fmt.Sprint(names(sessions)), name) {
		t.Errorf("sessions %v: %v", names(sessions), err)
	}
	if entries, err := k.Consul.Entries(k.Name+"-master", ""); err != nil || len(entries) != 0 {
		t.Errorf("%d entries: %v", len(entries), err)
	}
	e.Signal(syscall.SIGTERM)
	exits(t, e, 0)
}

func names(sessions []*api.SessionEntry) (out []string) {
	for _, s := range sessions {
		out = append(out, s.Name)
	}
	return out
}

func TestElect_AnotherClustersStateIsLeftAlone(t *testing.T) {
	t.Parallel()
	k := cluster(t, 2)
	e, err := k.Resec("elect", 0, "elect")
	ok(t, err)
	lab.Eventually(t, 10*time.Second, func() error { return e.Said("promoted") })
	_, stderr, code, err := k.Run(1, "", "elect", "-consul-service-prefix=other", "-timeout=5s")
	if err != nil || code != 1 || !strings.Contains(stderr, "two clusters need two CONSUL_LOCK_KEYs") {
		t.Errorf("exit %d: %v\n%s", code, err, stderr)
	}
	ok(t, k.Redis[1].Is("role", "master"))
	e.Signal(syscall.SIGTERM)
	exits(t, e, 0)
}

// Its own Redis restarted within a blink, or made a replica: the lock is no longer deserved.
func TestElect_LeavesWhenRedisIsNoLongerItsMaster(t *testing.T) {
	t.Parallel()
	k := cluster(t, 2)
	for i, depose := range []func() error{
		func() error { k.Redis[0].Kill(); return k.Redis[0].Restart() },
		func() error { _, err := k.Redis[1].Do("REPLICAOF", "127.0.0.1", "1"); return err },
	} {
		e, err := k.Resec(fmt.Sprintf("elect%d", i), i, "elect", "-consul-lock-key="+fmt.Sprint(k.Name, i))
		ok(t, err)
		lab.Eventually(t, 10*time.Second, func() error { return e.Said("promoted") })
		ok(t, depose())
		exits(t, e, 3)
	}
}

func TestElect_FencesAtTheEndOfTheLease(t *testing.T) {
	t.Parallel()
	c, err := lab.ForTest(t).StartConsul("own", nil)
	ok(t, err)
	k := clusterOn(t, c, 1)
	e, err := k.Resec("elect", 0, "elect")
	ok(t, err)
	lab.Eventually(t, 10*time.Second, func() error { return e.Said("promoted") })
	c.Freeze()
	defer c.Thaw()
	lab.Eventually(t, 10*time.Second, func() error {
		_, err := k.Redis[0].Do("SET", "k", "v")
		if err == nil {
			return errors.New("it still accepts writes")
		}
		return nil
	})
	exits(t, e, 3)
	ok(t, e.Said("the lease is over"))
}

// From the loss of the lock on the check is not passing, however long the fence takes.
func TestElect_CheckIsNotPassingDuringTheFence(t *testing.T) {
	t.Parallel()
	k := cluster(t, 1)
	fencing := filepath.Join(k.Dir, "fencing")
	e, err := k.Resec("elect", 0, "elect", "grep -q promote || { touch "+fencing+"; sleep 3; }")
	ok(t, err)
	lab.Eventually(t, 10*time.Second, func() error { _, err := k.Consul.Lookup(t.Context(), k.Name+"-master"); return err })
	destroySession(t, k)
	lab.Eventually(t, 10*time.Second, func() error { _, err := os.Stat(fencing); return err })
	lab.Eventually(t, time.Second, func() error {
		entries, err := k.Consul.Entries(k.Name+"-master", "")
		if err == nil && len(entries) > 0 && entries[0].Checks.AggregatedStatus() == api.HealthPassing {
			err = errors.New("the check is still passing")
		}
		return err
	})
	if !e.Running() {
		t.Error("the fence had ended before")
	}
	exits(t, e, 3)
	if entries, err := k.Consul.Entries(k.Name+"-master", ""); err != nil || len(entries) > 0 {
		t.Errorf("left in the catalogue: %d %v", len(entries), err)
	}
}
