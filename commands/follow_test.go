package commands_test

import (
	"encoding/json"
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

	"resec/handlers"
	"resec/scripts/lab"
)

func kvPair(key, value string) *api.KVPair { return &api.KVPair{Key: key, Value: []byte(value)} }

// register publishes a master by hand.
func register(t *testing.T, k *lab.Cluster, r *lab.Redis, term, output string) {
	t.Helper()
	a := k.Consul.Client.Agent()
	ok(t, a.ServiceRegister(&api.AgentServiceRegistration{ID: k.Name, Name: k.Name + "-master", Address: r.Host, Port: 6379,
		Meta: map[string]string{"id": r.Name, "term": term}, Check: &api.AgentServiceCheck{CheckID: k.Name, TTL: "1h",
			Status: "passing"}}))
	ok(t, a.UpdateTTL(k.Name, output, "passing"))
	t.Cleanup(func() { _ = a.ServiceDeregister(k.Name) })
}

func TestFollow_Builtin(t *testing.T) {
	t.Parallel()
	k := cluster(t, 3)
	f, err := k.Resec("follow", 2, "follow")
	ok(t, err)
	register(t, k, k.Redis[0], "1", "")
	lab.Eventually(t, 10*time.Second, func() error { return k.Redis[2].Follows(k.Redis[0]) })
	register(t, k, k.Redis[1], "2", "")
	lab.Eventually(t, 10*time.Second, func() error { return k.Redis[2].Follows(k.Redis[1]) })
	// Its Redis is restarted, as a master of its own.
	k.Redis[2].Kill()
	ok(t, k.Redis[2].Restart())
	lab.Eventually(t, 10*time.Second, func() error { return k.Redis[2].Follows(k.Redis[1]) })
	// Nobody is the master: nothing changes.
	ok(t, k.Consul.Client.Agent().ServiceDeregister(k.Name))
	f.Signal(syscall.SIGTERM)
	exits(t, f, 0)
	ok(t, k.Redis[2].Follows(k.Redis[1]))
}

func TestFollow_WhileTheLockIsOurs(t *testing.T) {
	t.Parallel()
	k := cluster(t, 2)
	e, err := k.Resec("elect", 0, "elect")
	ok(t, err)
	lab.Eventually(t, 10*time.Second, func() error { return e.Said("promoted") })
	f, err := k.Resec("follow", 0, "follow")
	ok(t, err)
	register(t, k, k.Redis[1], "99", "")
	other, err := k.Resec("other", 1, "follow", "echo $RESEC_MASTER >"+k.Dir+"/seen")
	ok(t, err)
	lab.Eventually(t, 10*time.Second, func() error {
		seen, err := os.ReadFile(k.Dir + "/seen")
		if err == nil && string(seen) != k.Redis[0].Addr+"\n" {
			err = fmt.Errorf("the handler is told that %q is the master", seen)
		}
		return err
	})
	ok(t, k.Redis[0].Is("role", "master"))
	// It is lost. An entry that the state does not name is followed by nobody; the successor's is.
	e.Signal(syscall.SIGTERM)
	exits(t, e, 0)
	lab.Eventually(t, 10*time.Second, func() error { return f.Said("the service names another master than the published one, m0") })
	ok(t, k.Consul.Client.Agent().ServiceDeregister(k.Name))
	e2, err := k.Resec("elect1", 1, "elect")
	ok(t, err)
	lab.Eventually(t, 10*time.Second, func() error { return k.Redis[0].Follows(k.Redis[1]) })
	for _, p := range []*lab.Process{f, other, e2} {
		p.Signal(syscall.SIGTERM)
		exits(t, p, 0)
	}
}

func TestFollow_CustomHandler(t *testing.T) {
	t.Parallel()
	k := cluster(t, 2)
	h := filepath.Join(k.Dir, "handler")
	// It fails the second time that it is called, and the fourth starts a grandchild and stays.
	ok(t, os.WriteFile(h, []byte(`#!/bin/sh
n=$(cat n 2>/dev/null || echo 0); n=$((n + 1)); echo $n > n
cat > event.$n; echo "$CONSUL_INDEX" > index.$n
[ $n = 2 ] && exit 1
[ $n = 4 ] && { sleep 1000 & echo $! > pid; wait; }
exit 0
`), 0o755))
	f, err := k.Resec("follow", 1, "follow", h)
	ok(t, err)
	entries := func(n int) ([]handlers.Entry, error) {
		data, err := os.ReadFile(fmt.Sprintf("%s/event.%d", k.Dir, n))
		if err != nil {
			return nil, err
		}
		return handlers.ParseEntries(data)
	}
	called := func(n, want int) func() error {
		return func() error {
			e, err := entries(n)
			if err == nil && len(e) != want {
				err = fmt.Errorf("call %d has %d entries, not %d", n, len(e), want)
			}
			return err
		}
	}
	lab.Eventually(t, 10*time.Second, called(1, 0)) // at once, as `consul watch` does
	register(t, k, k.Redis[0], "1", "")
	lab.Eventually(t, 10*time.Second, called(3, 1)) // the second failed and was tried again
	register(t, k, k.Redis[0], "1", "another output, which is no event")
	register(t, k, k.Redis[0], "2", "")
	lab.Eventually(t, 10*time.Second, called(4, 1))
	if e, err := entries(4); err != nil || e[0].Term() != 2 || e[0].Addr() != k.Redis[0].Addr {
		t.Errorf("the fourth event is %+v: %v", e, err)
	}
	if index, err := os.ReadFile(k.Dir + "/index.4"); err != nil || strings.TrimSpace(string(index)) == "" ||
		string(index) == "0\n" {
		t.Errorf("CONSUL_INDEX is %q: %v", index, err)
	}
	var pid int
	lab.Eventually(t, 5*time.Second, func() error {
		data, err := os.ReadFile(k.Dir + "/pid")
		if err == nil {
			_, err = fmt.Sscan(string(data), &pid)
		}
		return err
	})
	f.Signal(syscall.SIGTERM)
	exits(t, f, 0)
	if alive(pid) {
		t.Errorf("grandchild %d lives", pid)
	}
}

// What each call of the handler left running ends with follow, not the last call's alone.
func TestFollow_LeavesNothingRunning(t *testing.T) {
	t.Parallel()
	k := cluster(t, 1)
	f, err := k.Resec("follow", 0, "follow", "sleep 1000 & echo $! >> pids")
	ok(t, err)
	var pids []string
	for n := 1; n <= 3; n++ {
		register(t, k, k.Redis[0], fmt.Sprint(n), "")
		lab.Eventually(t, 10*time.Second, func() error {
			data, err := os.ReadFile(k.Dir + "/pids")
			if pids = strings.Fields(string(data)); err == nil && len(pids) < n {
				err = fmt.Errorf("%d calls", len(pids))
			}
			return err
		})
	}
	f.Signal(syscall.SIGTERM)
	exits(t, f, 0)
	for _, p := range pids {
		if pid, err := strconv.Atoi(p); err != nil || alive(pid) {
			t.Errorf("grandchild %s lives: %v", p, err)
		}
	}
}

// What follow gives a handler is what consul watch gives it.
func TestFollow_GivesWhatConsulWatchGives(t *testing.T) {
	t.Parallel()
	k := cluster(t, 1)
	register(t, k, k.Redis[0], "1", "an output")
	f, err := k.Resec("follow", 0, "follow", "cat > ours.new && mv ours.new ours")
	ok(t, err)
	w, err := k.Script("watch", 0,
		"exec consul watch -type=service -service="+k.Name+"-master 'cat > theirs.new && mv theirs.new theirs'")
	ok(t, err)
	lab.Eventually(t, 10*time.Second, func() error {
		ours, err1 := os.ReadFile(k.Dir + "/ours")
		theirs, err2 := os.ReadFile(k.Dir + "/theirs")
		if err := errors.Join(err1, err2); err != nil {
			return err
		}
		if string(ours) != string(theirs) {
			return fmt.Errorf("ours:\n%s\ntheirs:\n%s", ours, theirs)
		}
		return nil
	})
	f.Signal(syscall.SIGTERM)
	exits(t, f, 0)
	_, err = w.Stop(syscall.SIGINT)
	ok(t, err)
}

func TestFollow_ConsulAwayAndBack(t *testing.T) {
	t.Parallel()
	c, err := lab.ForTest(t).StartConsul("own", nil)
	ok(t, err)
	k := clusterOn(t, c, 2)
	register(t, k, k.Redis[0], "1", "")
	f, err := k.Resec("follow", 1, "follow", "date >> calls")
	ok(t, err)
	calls := func() int {
		data, _ := os.ReadFile(k.Dir + "/calls")
		return strings.Count(string(data), "\n")
	}
	lab.Eventually(t, 10*time.Second, func() error {
		if calls() == 0 {
			return errors.New("not called yet")
		}
		return nil
	})
	c.Kill()
	lab.Eventually(t, 10*time.Second, func() error { return f.Said("consul does not answer") })
	ok(t, c.Start())
	ok(t, c.Ready(t.Context()))
	lab.Eventually(t, 10*time.Second, func() error { return f.Said("consul answers again") })
	before := calls()
	register(t, k, k.Redis[0], "2", "")
	lab.Eventually(t, 10*time.Second, func() error {
		if calls() <= before {
			return errors.New("the change was not seen")
		}
		return nil
	})
	f.Signal(syscall.SIGTERM)
	exits(t, f, 0)
}

// The README's composition of elect and follow in a shell script.
func TestCompose_ShellScriptSurvivesTheMastersDeath(t *testing.T) {
	t.Parallel()
	k := cluster(t, 3)
	script := lab.Readme(t, "sh compose")
	for i := range k.Redis {
		p, err := k.Script(fmt.Sprintf("compose%d", i), i, script)
		ok(t, err)
		k.Agents[i] = p
	}
	settled := func() error {
		m, err := k.Linked()
		if err != nil {
			return err
		}
		addr, err := k.Consul.Lookup(t.Context(), k.Name+"-master")
		if err == nil && addr != k.Redis[m].Addr {
			err = fmt.Errorf("the catalogue says %s", addr)
		}
		return err
	}
	lab.Eventually(t, 15*time.Second, settled)
	m, err := k.Master()
	ok(t, err)
	k.Redis[m].Kill()
	lab.Eventually(t, 15*time.Second, settled)
	ok(t, k.Redis[m].Restart())
	lab.Eventually(t, 15*time.Second, settled)
	for _, p := range k.Agents {
		if code, err := p.Stop(syscall.SIGTERM); err != nil || code != 0 {
			t.Errorf("%s ended with %d: %v", p.Name, code, err)
		}
		ok(t, p.Sane())
	}
}

func TestCompose_StockConsulLockAndWatch(t *testing.T) {
	t.Parallel()
	k := cluster(t, 2)
	ok(t, k.Redis[1].Is("role", "master"))
	w, err := k.Script("watch", 1, "exec consul watch -type=service -service="+k.Name+"-master 'resec replicate'")
	ok(t, err)
	_, err = k.Redis[0].Do("REPLICAOF", "127.0.0.1", "1")
	ok(t, err)
	l, err := k.Script("lock", 0, "exec consul lock "+k.Name+" 'resec promote && echo promoted && sleep 1000'")
	ok(t, err)
	lab.Eventually(t, 10*time.Second, func() error { return l.Said("promoted") })
	ok(t, k.Redis[0].IsMaster(0))
	register(t, k, k.Redis[0], "1", "")
	lab.Eventually(t, 10*time.Second, func() error { return k.Redis[1].Follows(k.Redis[0]) })
	var r handlers.Result
	out, _, code, err := k.Run(0, "", "promote")
	ok(t, err)
	if err := json.Unmarshal([]byte(out), &r); err != nil || code != 0 || r.Role != "master" || r.Changed {
		t.Errorf("promote again: exit %d, %s: %v", code, out, err)
	}
	_, _ = w.Stop(syscall.SIGINT)
	_, _ = l.Stop(syscall.SIGTERM)
}
