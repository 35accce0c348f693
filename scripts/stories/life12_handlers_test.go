package stories_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"resec/scripts/lab"
)

// leftInTime waits for a process that was asked to stop, and fails the test if it takes as long as Nomad waits.
func leftInTime(t *testing.T, p *lab.Process, want int) {
	t.Helper()
	asked := time.Now()
	if code, err := p.Stop(syscall.SIGTERM); err != nil || code != want {
		t.Errorf("%s exited with %d, want %d: %v\n%s", p.Name, code, want, err, p.Output())
	}
	figures(t).within(p.Name+" left after", time.Since(asked), 5*time.Second)
	ok(t, p.Sane())
}

// A handler that hangs, and ignores SIGTERM, is named in the log, makes way for a newer event, and delays no stop.
func TestLife12_HandlersThatHang(t *testing.T) {
	t.Parallel()
	t.Run("elect", func(t *testing.T) {
		t.Parallel()
		k := planned(t, lab.Plan{Members: 1, StartParked: true})
		e, err := k.Resec("elect", 0, "elect", `trap "" TERM; (trap "" TERM; while :; do sleep 1; done) & echo run >>runs; while :; do sleep 1; done`)
		ok(t, err)
		lab.Eventually(t, patience, func() error { _, err := os.Stat(filepath.Join(k.Dir, "runs")); return err })
		lab.Eventually(t, patience, func() error { return e.Said("event=handler_slow") })
		leftInTime(t, e, 2) // the fence handler hangs, too
		free(t, k)
	})
	t.Run("elect with a limit", func(t *testing.T) {
		t.Parallel()
		k := planned(t, lab.Plan{Members: 1, StartParked: true})
		e, err := k.Resec("elect", 0, "elect", "-handler-timeout", "500ms", "sleep 1000")
		ok(t, err)
		lab.Eventually(t, patience, func() error { return e.Said("the handler took too long: its limit is 500ms") })
		if code, err := e.Wait(t.Context()); err != nil || code != 2 {
			t.Errorf("it exited with %d: %v", code, err)
		}
		free(t, k)
	})
	t.Run("a child with a limit", func(t *testing.T) {
		t.Parallel()
		k := planned(t, lab.Plan{Members: 1, StartParked: true})
		e, err := k.Resec("elect", 0, "elect", "-child", "-child-exit-code", "-handler-timeout", "500ms", "sleep 1000")
		ok(t, err)
		if code, err := e.Wait(t.Context()); err != nil || code != 2 {
			t.Errorf("it exited with %d: %v", code, err)
		}
		free(t, k)
	})
	t.Run("a child that ignores SIGTERM", func(t *testing.T) {
		t.Parallel()
		k := planned(t, lab.Plan{Members: 1, StartParked: true})
		e, err := k.Resec("elect", 0, "elect", "-child", `trap "" TERM; echo run >>runs; while :; do sleep 1; done`)
		ok(t, err)
		lab.Eventually(t, patience, func() error { _, err := os.Stat(filepath.Join(k.Dir, "runs")); return err })
		leftInTime(t, e, 0)
		free(t, k)
	})
	t.Run("follow", func(t *testing.T) {
		t.Parallel()
		k := planned(t, lab.Plan{Members: 2, StartParked: true})
		f, err := k.Resec("follow", 1, "follow", `trap "" TERM; cat >>events; while :; do sleep 1; done`)
		ok(t, err)
		heard := func() int { data, _ := os.ReadFile(filepath.Join(k.Dir, "events")); return len(data) }
		lab.Eventually(t, patience, func() error { _, err := os.Stat(filepath.Join(k.Dir, "events")); return err })
		e, err := k.Resec("elect", 0, "elect")
		ok(t, err)
		published(t, k, 0)
		before := heard()
		lab.Eventually(t, patience, func() error { return f.Said("event=handler_superseded") })
		lab.Eventually(t, patience, func() error {
			if heard() == before {
				return os.ErrNotExist
			}
			return nil
		})
		leftInTime(t, f, 0)
		leftInTime(t, e, 0)
	})
}

// free fails the test if a session holds the cluster's lock.
func free(t *testing.T, k *lab.Cluster) {
	t.Helper()
	pair, _, err := k.Consul.Client.KV().Get(lockKey(k), nil)
	if err != nil || pair == nil || pair.Session != "" {
		t.Errorf("the lock is held: %+v, %v", pair, err)
	}
}
