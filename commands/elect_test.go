package commands_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"

	"resec/commands/expect"
	"resec/commands/lock"
	"resec/scripts/lab"
)

func TestElect_BuiltinPromotesAndRegisters(t *testing.T) {
	t.Parallel()
	k := cluster(t, 2)
	e, err := k.Resec("elect0", 0, "elect")
	expect.OK(t, err)
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
	expect.OK(t, err)
	if pair.Flags != lock.Flag || string(pair.Value) != "m0" {
		t.Errorf("the lock has flags %#x and value %q", pair.Flags, pair.Value)
	}
	if _, err := k.Redis[0].Do("SET", "k", "v"); err != nil {
		t.Fatal(err)
	}
	// The second member takes over with the data of the first, which is fenced when its elect exits.
	e2, err := k.Resec("elect1", 1, "elect")
	expect.OK(t, err)
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
		t.Errorf("after elect exited, a write got %v", err)
	}
}

func TestElect_LeavesWhenRedisDies(t *testing.T) {
	t.Parallel()
	k := cluster(t, 1)
	e, err := k.Resec("elect", 0, "elect")
	expect.OK(t, err)
	lab.Eventually(t, 10*time.Second, func() error { return k.Redis[0].IsMaster(0) })
	lab.Eventually(t, 10*time.Second, func() error { return e.Said("promoted") })
	k.Redis[0].Kill()
	exits(t, e, 3)
}

// elect releases the lock if its Redis is restarted quickly, or made a replica by an operator.
func TestElect_LeavesWhenRedisIsNoLongerItsMaster(t *testing.T) {
	t.Parallel()
	k := cluster(t, 2)
	for i, demote := range []func() error{
		func() error { k.Redis[0].Kill(); return k.Redis[0].Restart() },
		func() error { _, err := k.Redis[1].Do("REPLICAOF", "127.0.0.1", "1"); return err },
	} {
		e, err := k.Resec(fmt.Sprintf("elect%d", i), i, "elect", "-consul-lock-key="+fmt.Sprint(k.Name, i))
		expect.OK(t, err)
		lab.Eventually(t, 10*time.Second, func() error { return e.Said("promoted") })
		expect.OK(t, demote())
		exits(t, e, 3)
	}
}

func TestElect_FencesAtTheEndOfTheLease(t *testing.T) {
	t.Parallel()
	c, err := lab.ForTest(t).StartConsul("own", nil)
	expect.OK(t, err)
	k := clusterOn(t, c, 1)
	e, err := k.Resec("elect", 0, "elect")
	expect.OK(t, err)
	lab.Eventually(t, 10*time.Second, func() error { return e.Said("promoted") })
	c.Freeze()
	defer c.Thaw()
	lab.Eventually(t, 10*time.Second, func() error {
		_, err := k.Redis[0].Do("SET", "k", "v")
		if err == nil {
			return errors.New("redis still accepts writes")
		}
		return nil
	})
	exits(t, e, 3)
	expect.OK(t, e.Said("the lease is over"))
}

// From the loss of the lock on the check is not passing, however long the fence takes.
func TestElect_CheckIsNotPassingDuringTheFence(t *testing.T) {
	t.Parallel()
	k := cluster(t, 1)
	fencing := filepath.Join(k.Dir, "fencing")
	e, err := k.Resec("elect", 0, "elect", "grep -q promote || { touch "+fencing+"; sleep 3; }")
	expect.OK(t, err)
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

func TestElect_Flags(t *testing.T) {
	t.Parallel()
	k := cluster(t, 1)
	name := k.Name + "-named"
	e, err := k.Resec("elect", 0, "elect", "-register=false", "-name="+name, "-log-level=ERROR", "-verbose")
	expect.OK(t, err)
	lab.Eventually(t, 10*time.Second, func() error { return e.Said("promoted") }) // a message at DEBUG or INFO, which -verbose shows
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
