package commands_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"resec/commands/expect"
	"resec/handlers"
	"resec/scripts/lab"
)

func TestFollow_CustomHandler(t *testing.T) {
	t.Parallel()
	k := cluster(t, 2)
	h := filepath.Join(k.Dir, "handler")
	// Its second call fails, and its fourth starts a grandchild and does not return.
	expect.OK(t, os.WriteFile(h, []byte(`#!/bin/sh
n=$(cat n 2>/dev/null || echo 0); n=$((n + 1)); echo $n > n
cat > event.$n; echo "$CONSUL_INDEX" > index.$n
[ $n = 2 ] && exit 1
[ $n = 4 ] && { sleep 1000 & echo $! > pid; wait; }
exit 0
`), 0o755))
	f, err := k.Resec("follow", 1, "follow", h)
	expect.OK(t, err)
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
	lab.Eventually(t, 10*time.Second, called(1, 0)) // immediately, as under `consul watch`
	register(t, k, k.Redis[0], "1", "")
	lab.Eventually(t, 10*time.Second, called(3, 1)) // the second failed and was repeated
	register(t, k, k.Redis[0], "1", "another output of the check, which is no event")
	register(t, k, k.Redis[0], "2", "")
	lab.Eventually(t, 10*time.Second, called(4, 1))
	if e, err := entries(4); err != nil || e[0].Term() != 2 || e[0].Addr() != k.Redis[0].Addr {
		t.Errorf("the fourth event is %+v: %v", e, err)
	}
	lab.Eventually(t, 5*time.Second, func() error { // it is written after the event
		index, err := os.ReadFile(k.Dir + "/index.4")
		if text := strings.TrimSpace(string(index)); err == nil && (text == "" || text == "0") {
			err = fmt.Errorf("CONSUL_INDEX is %q", index)
		}
		return err
	})
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
		t.Errorf("grandchild %d is alive", pid)
	}
}

// A handler that runs for long is named in the log, although no newer event waits.
func TestFollow_SlowHandler(t *testing.T) {
	t.Parallel()
	k := cluster(t, 1)
	f, err := k.Resec("follow", 0, "follow", "exec sleep 1000")
	expect.OK(t, err)
	lab.Eventually(t, handlers.SlowAfter+expect.Patience, func() error { return f.Said("event=handler_slow") })
	f.Signal(syscall.SIGTERM)
	exits(t, f, 0)
}

// A stop that comes while a handler is being ended after its limit shortens the handler's time from SIGTERM to SIGKILL.
func TestHandlers_StopWhileOneIsEnded(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]int{"follow": 0, "elect": 2} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := cluster(t, 1)
			p, err := k.Resec(name, 0, name, "-handler-timeout", "500ms", `trap "echo >>terms" TERM; while :; do sleep 0.1; done`)
			expect.OK(t, err)
			lab.Eventually(t, expect.Patience, func() error { _, err := os.Stat(k.Dir + "/terms"); return err })
			asked := time.Now()
			p.Signal(syscall.SIGTERM)
			exits(t, p, want)
			if took := time.Since(asked); took > 4900*time.Millisecond {
				t.Errorf("%s has ended after %s", name, took)
			}
		})
	}
}

// follow ends the processes of every call of the handler, not only those of the last.
func TestFollow_LeavesNothingRunning(t *testing.T) {
	t.Parallel()
	k := cluster(t, 1)
	f, err := k.Resec("follow", 0, "follow", "sleep 1000 & echo $! >> pids")
	expect.OK(t, err)
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
			t.Errorf("grandchild %s is alive: %v", p, err)
		}
	}
}

// follow gives a handler the same input as consul watch.
func TestFollow_GivesWhatConsulWatchGives(t *testing.T) {
	t.Parallel()
	k := cluster(t, 1)
	register(t, k, k.Redis[0], "1", "an output")
	f, err := k.Resec("follow", 0, "follow", "cat > ours.new && mv ours.new ours")
	expect.OK(t, err)
	w, err := k.Script("watch", 0,
		"exec consul watch -type=service -service="+k.Name+"-master 'cat > theirs.new && mv theirs.new theirs'")
	expect.OK(t, err)
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
	expect.OK(t, err)
}
