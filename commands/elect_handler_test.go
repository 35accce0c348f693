package commands_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"resec/commands/expect"
	"resec/scripts/lab"
)

// recording is a handler that appends its events to a file and starts a grandchild.
const recording = `#!/bin/sh
cat >> %[1]s/events; echo "held=$CONSUL_LOCK_HELD" >> %[1]s/events
sleep 1000 & echo $! >> %[1]s/pids
`

func TestElect_CustomHandlerGetsPromoteAndFence(t *testing.T) {
	t.Parallel()
	k := cluster(t, 1)
	h := filepath.Join(k.Dir, "handler")
	expect.OK(t, os.WriteFile(h, fmt.Appendf(nil, recording, k.Dir), 0o755))
	e, err := k.Resec("elect", 0, "elect", h)
	expect.OK(t, err)
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
	expect.OK(t, events(`{"type":"fence","term":1,"reason":"the lock is lost: `)())
	if entries, err := k.Consul.Entries(k.Name+"-master", ""); err != nil || len(entries) > 0 {
		t.Errorf("%d entries are still in the catalogue: %v", len(entries), err)
	}
	pids, err := os.ReadFile(filepath.Join(k.Dir, "pids"))
	expect.OK(t, err)
	grandchildren := strings.Fields(string(pids))
	if len(grandchildren) != 2 {
		t.Fatalf("grandchildren: %q", grandchildren)
	}
	for _, p := range grandchildren {
		pid, err := strconv.Atoi(p)
		expect.OK(t, err)
		lab.Eventually(t, 2*time.Second, func() error {
			if alive(pid) {
				return fmt.Errorf("grandchild %d is alive", pid)
			}
			return nil
		})
	}
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
		{"a child succeeds", []string{"elect", "-child", "true"}, 0, ""},
		{"a child fails", []string{"elect", "-child", "false"}, 0, ""},
		{"a child fails with -child-exit-code", []string{"elect", "-child", "-child-exit-code", "false"}, 2, "exit status 1"},
		{"no shell", []string{"elect", "-child", "-child-exit-code", "-shell=false", "no such program"}, 2, "no such program"},
		{"child without a handler", []string{"elect", "-child"}, 1, "-child takes a handler"},
	} {
		_, stderr, code, err := k.Run(0, "", c.args...)
		if err != nil || code != c.code || !strings.Contains(stderr, c.want) {
			t.Errorf("%s: exit %d, want %d: %v\n%s", c.name, code, c.code, err, stderr)
		}
	}
	// Each of them has released the lock.
	pair, _, err := k.Consul.Client.KV().Get(k.Name+"/.lock", nil)
	if err != nil || pair.Session != "" {
		t.Errorf("the lock is held by %q: %v", pair.Session, err)
	}
}

// What a handler prints arrives, up to its last byte. A child has the streams of elect itself: nothing of its data is dropped.
func TestElect_Output(t *testing.T) {
	t.Parallel()
	k := cluster(t, 1)
	stdout, stderr, code, err := k.Run(0, "", "elect", "printf out; printf err >&2; exit 7")
	if err != nil || code != 2 || stdout != "outout" || !strings.Contains(stderr, "err") { // promote, then fence
		t.Errorf("a handler: exit %d, %v, %q\n%s", code, err, stdout, stderr)
	}
	const size = 5_000_000
	stdout, stderr, code, err = k.Run(0, "", "elect", "-child", fmt.Sprintf("yes | head -c %d", size))
	if err != nil || code != 0 || len(stdout) != size {
		t.Errorf("a child: exit %d, %v, %d bytes of %d\n%s", code, err, len(stdout), size, stderr)
	}
}
