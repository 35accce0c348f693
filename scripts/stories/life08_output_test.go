package stories_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"resec/scripts/lab"
)

// unread is a pipe that a process logs to. The test has it open for reading, and reads it or not.
type unread struct {
	*os.File
	path string
}

func newUnread(t *testing.T, name string) unread {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	ok(t, syscall.Mkfifo(path, 0o600))
	f, err := os.OpenFile(path, os.O_RDWR|syscall.O_NONBLOCK, 0) // so that nobody waits for the other end
	ok(t, err)
	t.Cleanup(func() { _ = f.Close() })
	return unread{f, path}
}

// full returns nil once the pipe takes no more.
func (p unread) full() error {
	raw, err := p.SyscallConn()
	if err != nil {
		return err
	}
	control := raw.Control(func(fd uintptr) {
		n := 0
		if n, err = unix.IoctlGetInt(int(fd), unix.TIOCINQ); err == nil && n < 48<<10 {
			err = fmt.Errorf("%d bytes are in the pipe", n)
		}
	})
	return errors.Join(control, err)
}

// reads waits until the text has come through the pipe.
func (p unread) reads(t *testing.T, text string) {
	t.Helper()
	var all strings.Builder
	buf := make([]byte, 64<<10)
	lab.Eventually(t, patience, func() error {
		ok(t, p.SetReadDeadline(time.Now().Add(time.Second)))
		n, err := p.Read(buf)
		all.Write(buf[:n])
		if strings.Contains(all.String(), text) {
			return nil
		}
		return fmt.Errorf("no %q in %q: %w", text, all.String(), errors.Join(err, errors.New("not yet")))
	})
}

// loggingTo starts the program so that its log, and what it prints, goes to a pipe.
func loggingTo(t *testing.T, k *lab.Cluster, name string, i int, p unread, command string) *lab.Process {
	t.Helper()
	// What it adds to the environment is the same as that of k.Agent.
	started, err := k.Script(name, i, "exec resec "+command+" >"+p.path+" 2>&1")
	ok(t, err)
	return started
}

// fill makes agents log their state until their pipes are full, and some more.
func fill(t *testing.T, agents []*lab.Process, pipes []unread) {
	t.Helper()
	more := 0
	lab.Eventually(t, patience, func() error {
		var err error
		for i, a := range agents {
			a.Signal(syscall.SIGUSR1)
			err = errors.Join(err, pipes[i].full())
		}
		if err == nil && more < 60 {
			more++
			err = errors.New("some more")
		}
		return err
	})
}

// A log that nobody reads any more, or that nobody ever reads, delays no failover, and no stop.
func TestLife08_NobodyReadsTheLog(t *testing.T) {
	t.Parallel()
	for _, v := range []struct {
		name  string
		cause func(*testing.T, []*lab.Process, []unread)
	}{
		{"its reader has ended", func(t *testing.T, agents []*lab.Process, pipes []unread) {
			for i, p := range pipes {
				ok(t, p.Close())
				agents[i].Signal(syscall.SIGUSR1)
			}
		}},
		{"its reader has stopped", fill},
	} {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			// A hook that prints more than fits into any pipe must not wait for its reader.
			k := planned(t, lab.Plan{Members: 2, StartParked: true, Env: []string{
				"ON_PROMOTE=yes | head -c 1000000; yes | head -c 1000000 >&2; touch hook.$MEMBER_ID"}})
			var pipes []unread
			for i := range k.Redis {
				pipes = append(pipes, newUnread(t, fmt.Sprint("log", i)))
				k.Agents[i] = loggingTo(t, k, fmt.Sprintf("%s-agent%d", k.Name, i), i, pipes[i], "agent")
			}
			whole(t, k)
			m, err := k.Master()
			ok(t, err)
			v.cause(t, k.Agents, pipes)
			k.Redis[m].Kill()
			next := succeededBy(t, k, m)
			lab.Eventually(t, patience, func() error {
				_, err := os.Stat(filepath.Join(k.Dir, "hook."+fmt.Sprint("m", next)))
				return err
			})
			ok(t, k.Redis[m].Start())
			whole(t, k)
			stopped(t, k, m, next)
		})
	}
}

// elect and follow outlive the reader of their log, and pass on what their handlers print.
func TestLife08_ElectAndFollowOutliveTheReader(t *testing.T) {
	t.Parallel()
	k := planned(t, lab.Plan{Members: 2, StartParked: true})
	pipes := []unread{newUnread(t, "elect"), newUnread(t, "follow")}
	handler := "'cat >>" + k.Dir + "/%s; echo printed; resec %s >/dev/null'"
	e := loggingTo(t, k, "elect", 0, pipes[0], "elect "+fmt.Sprintf(handler, "elected", "promote"))
	published(t, k, 0)
	f := loggingTo(t, k, "follow", 1, pipes[1], "follow "+fmt.Sprintf(handler, "followed", "replicate "+k.Redis[0].Addr))
	lab.Eventually(t, patience, func() error { return k.Redis[1].Follows(k.Redis[0]) })
	for _, p := range pipes {
		p.reads(t, "printed\n")
		ok(t, p.Close())
	}
	events := func() int {
		data, err := os.ReadFile(filepath.Join(k.Dir, "followed"))
		ok(t, err)
		return strings.Count(string(data), "\n")
	}
	before := events()
	k.Redis[0].Kill() // each of them has something to say
	if code, err := e.Wait(t.Context()); err != nil || code != 3 {
		t.Errorf("elect exited with %d, want 3: %v", code, err)
	}
	ok(t, k.Redis[0].Start())
	e = loggingTo(t, k, "elect2", 0, newUnread(t, "elect2"), "elect 'cat >/dev/null; resec promote'")
	published(t, k, 0)
	lab.Eventually(t, patience, func() error {
		if events() == before {
			return errors.New("follow has not invoked its handler again yet")
		}
		return nil
	})
	for _, p := range []*lab.Process{e, f} {
		if code, err := p.Stop(syscall.SIGTERM); err != nil || code != 0 {
			t.Errorf("%s exited with %d: %v", p.Name, code, err)
		}
		ok(t, p.Sane())
	}
}

// SIGHUP ends nothing: not the agent, not elect, not follow. A request of an operator's is withdrawn.
func TestLife08_Hangup(t *testing.T) {
	t.Parallel()
	k := planned(t, lab.Plan{Members: 2, StartParked: true})
	m := started(t, k)
	for _, a := range k.Agents {
		a.Signal(syscall.SIGHUP)
	}
	for _, a := range k.Agents {
		lab.Eventually(t, patience, func() error { return a.Said("event=hangup_ignored") })
	}
	leads(t, k, m)
	k.Agents[m].Freeze() // nobody answers the request
	s, err := k.Resec("switchover", 1-m, "switchover", "-timeout", "60s")
	ok(t, err)
	request := func(want int) func() error {
		return func() error {
			pairs, _, err := k.Consul.Client.KV().List(k.Name+"/.lock/failover", nil)
			if err == nil && len(pairs) != want {
				err = fmt.Errorf("there are %d requests", len(pairs))
			}
			return err
		}
	}
	lab.Eventually(t, patience, request(1))
	s.Signal(syscall.SIGHUP)
	if code, err := s.Wait(t.Context()); err != nil || code == -1 {
		t.Errorf("switchover exited with %d: %v", code, err)
	}
	ok(t, request(0)())
	k.Agents[m].Thaw()
	whole(t, k)
	ok(t, k.Stop())

	e, err := k.Resec("elect", 0, "elect")
	ok(t, err)
	published(t, k, 0)
	f, err := k.Resec("follow", 1, "follow")
	ok(t, err)
	lab.Eventually(t, patience, func() error { return f.Said("event=redis_healthy") })
	for _, p := range []*lab.Process{e, f} {
		if !p.Running() {
			t.Fatalf("%s has ended:\n%s", p.Name, p.Output())
		}
		p.Signal(syscall.SIGHUP)
		lab.Eventually(t, patience, func() error { return p.Said("event=hangup_ignored") })
		if code, err := p.Stop(syscall.SIGTERM); err != nil || code != 0 {
			t.Errorf("%s exited with %d: %v", p.Name, code, err)
		}
	}
}
