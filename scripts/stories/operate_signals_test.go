package stories_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"resec/scripts/lab"
)

// SIGUSR1 logs the agent's state, whatever the level is, and at any time of its life.
func TestOperate06_SIGUSR1(t *testing.T) {
	t.Parallel()
	k := planned(t, lab.Plan{Members: 2, Env: []string{"LOG_LEVEL=ERROR"}})
	m := started(t, k)
	lab.Eventually(t, patience, func() error { return guarded(k, m, 1) })
	run, err := k.Redis[m].Info("run_id")
	ok(t, err)
	other := others(k, m)[0]
	for i, want := range map[int][]string{
		m: {fmt.Sprintf("id=m%d ", m), "role=master ", "run_id=" + run, fmt.Sprintf("lock_holder=m%d ", m), "guard_set=\"1 within 5s\"", "guard_published=\"1 within 5s\"",
			"fenced=false", "term=1 ", "registered_as=master check=passing", "next=\"this agent holds the lock\""},
		other: {fmt.Sprintf("id=m%d ", other), "role=replica ", "follows=" + k.Redis[m].Addr, "link_up=true", "registered_as=slave check=passing", "members=\"m0="},
	} {
		lab.Eventually(t, patience, func() (err error) { // what it knows of its redis may be some ms old
			k.Agents[i].Signal(syscall.SIGUSR1)
			for _, w := range want {
				err = errors.Join(err, k.Agents[i].Said(w))
			}
			return err
		})
		if out := k.Agents[i].Output(); strings.Count(out, "\n") != strings.Count(out, " msg=state event=state id=") {
			t.Errorf("m%d wrote something else:\n%s", i, out)
		}
	}
	ok(t, k.Stop())

	waits, err := k.Resec("waits", 0, "agent", "-http-addr", lab.Host()+":8500", "-log-level", "INFO") // for a Consul that is not there
	ok(t, err)
	lab.Eventually(t, patience, func() error { return waits.Said("cannot read the node name from the consul agent") })
	waits.Signal(syscall.SIGUSR1)
	throughout(t, time.Second, func() error {
		if !waits.Running() {
			return errors.New("the signal has ended it")
		}
		return nil
	})
	if code, err := waits.Stop(syscall.SIGTERM); err != nil || code != 0 {
		t.Errorf("it left with %d: %v", code, err)
	}
	do(t, k.Redis[0], "CONFIG", "SET", "requirepass", "secret")
	shut, err := k.Resec("shut", 0, "agent", "-log-level", "WARN") // from a Redis that does not let it in
	ok(t, err)
	lab.Eventually(t, patience, func() error { return shut.Said("event=not_started") })
	shut.Signal(syscall.SIGUSR1)
	lab.Eventually(t, patience, func() error { return shut.Said("output=\"not started yet: redis is unhealthy") })
	if code, err := shut.Stop(syscall.SIGTERM); err != nil || code != 0 {
		t.Errorf("it left with %d: %v", code, err)
	}
}

// systemd is what a service manager hears.
type systemd struct {
	socket string
	mu     sync.Mutex
	lines  []string
}

func manager(t *testing.T) *systemd {
	t.Helper()
	s := &systemd{socket: filepath.Join(t.TempDir(), "notify")}
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: s.socket, Net: "unixgram"})
	ok(t, err)
	var done sync.WaitGroup
	t.Cleanup(func() { _ = conn.Close(); done.Wait() })
	done.Go(func() {
		buf := make([]byte, 4096)
		for {
			n, err := conn.Read(buf)
			if err != nil {
				return
			}
			s.mu.Lock()
			s.lines = append(s.lines, strings.Split(string(buf[:n]), "\n")...)
			s.mu.Unlock()
		}
	})
	return s
}

// hears is the number of the first line from a number on that is the text; an error if there is none yet.
func (s *systemd) hears(from int, text string) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := from; i < len(s.lines); i++ {
		if s.lines[i] == text {
			return i, nil
		}
	}
	return 0, fmt.Errorf("after %d there is no %q among %q", from, text, s.lines)
}

// systemd hears of READY, of each change of the status, and of STOPPING; a hook does not hear of systemd.
func TestOperate06_Systemd(t *testing.T) {
	t.Parallel()
	s, dir := manager(t), t.TempDir()
	k := planned(t, lab.Plan{Members: 2, Env: []string{"ON_PROMOTE=env >" + dir + "/env.$MEMBER_ID"}})
	ok(t, k.Agent(1))
	lab.Eventually(t, patience, func() error { return k.Redis[1].IsMaster(0) })
	k.Redis[0].Kill()
	ok(t, k.Agent(0, "NOTIFY_SOCKET="+s.socket)) // as a unit of Type=notify
	at := 0
	hears := func(text string) {
		t.Helper()
		lab.Eventually(t, patience, func() (err error) { at, err = s.hears(at, text); return err })
	}
	hears("STATUS=not started yet: redis is unhealthy: it refuses connections")
	if _, err := s.hears(0, "READY=1"); err == nil {
		t.Error("it is ready before its redis answers")
	}
	ok(t, k.Redis[0].Start())
	hears("STATUS=replica of " + k.Redis[1].Addr)
	if _, err := s.hears(0, "READY=1"); err != nil {
		t.Error(err)
	}
	whole(t, k)
	k.Redis[1].Kill()
	hears("STATUS=master, term 2")
	lab.Eventually(t, patience, func() error {
		env, err := os.ReadFile(filepath.Join(dir, "env.m0"))
		if err == nil && !strings.Contains(string(env), "CONSUL_LOCK_HELD=true\n") {
			err = fmt.Errorf("it is not all yet: %s", env)
		}
		if strings.Contains(string(env), "NOTIFY_SOCKET") {
			t.Fatalf("the hook has systemd's socket:\n%s", env)
		}
		return err
	})
	ok(t, k.Redis[1].Start())
	whole(t, k)
	ok(t, k.Stop())
	hears("STOPPING=1")
	first, err := s.hears(0, "READY=1")
	ok(t, err)
	if again, err := s.hears(first+1, "READY=1"); err == nil {
		t.Errorf("it was ready twice, the second time in line %d", again)
	}
}

// status -watch shows a failover, and Consul's outage.
func TestOperate06_StatusWatch(t *testing.T) {
	t.Parallel()
	k := planned(t, lab.Plan{Members: 2, Servers: 1})
	m := started(t, k)
	table, err := k.Resec("table", 0, "status", "-watch")
	ok(t, err)
	lines, err := k.Resec("lines", 0, "status", "-watch", "-json")
	ok(t, err)
	shown := func(text string) {
		t.Helper()
		lab.Eventually(t, patience, func() error { return errors.Join(table.Said(text), lines.Said(text)) })
	}
	shown(fmt.Sprintf("healthy: master m%d, term 1, 1 streaming replicas", m))
	k.Redis[m].Kill()
	next := succeededBy(t, k, m)
	shown(fmt.Sprintf("degraded: master m%d, term 2, 0 streaming replicas", next))
	ok(t, k.Redis[m].Start())
	shown(fmt.Sprintf("healthy: master m%d, term 2, 1 streaming replicas", next))
	k.Servers[0].Kill()
	shown("unknown: cannot read the cluster from consul: ")
	before := len(table.Output())
	ok(t, k.Servers[0].Restart())
	lab.Eventually(t, patience, func() error {
		if !strings.Contains(table.Output()[before:], "healthy: ") {
			return table.Said("healthy again")
		}
		return nil
	})
	for _, p := range []*lab.Process{table, lines} {
		if code, err := p.Stop(syscall.SIGINT); err != nil || code != 0 {
			t.Errorf("%s left with %d: %v", p.Name, code, err)
		}
	}
	if out := table.Output(); strings.Contains(out, "\x1b") || !strings.Contains(out, "\n\n20") {
		t.Errorf("without a terminal there must be a blank line between two tables:\n%s", out)
	}
	for _, l := range strings.Split(strings.TrimSpace(lines.Output()), "\n") {
		if !json.Valid([]byte(l)) {
			t.Errorf("%q is no JSON", l)
		}
	}
	whole(t, k)
	ok(t, k.Stop())
}
