package stories_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"resec/scripts/lab"
)

// watched starts to look at a cluster that is whole, and guarded: a replica counts up to two seconds after it has attached.
func watched(t *testing.T, k *lab.Cluster) *lab.Watch {
	t.Helper()
	lab.Eventually(t, patience, func() error {
		p, err := countedOn(k)
		if want := len(k.Redis) / 2; err == nil && p.Master.Guard >= 0 && p.Master.Guard < want {
			err = fmt.Errorf("the guard is %d, not %d", p.Master.Guard, want)
		}
		return err
	})
	w, err := k.Watch(t.Context())
	ok(t, err)
	t.Cleanup(w.Stop)
	return w
}

// pause is the longest time in which no server accepted writes, from the first one that was accepted to the last.
func pause(w *lab.Watch) (longest time.Duration) {
	var all []lab.Interval
	for _, of := range w.Prober.Accepted() {
		all = append(all, of...)
	}
	slices.SortFunc(all, func(a, b lab.Interval) int { return a.From.Compare(b.From) })
	for i, last := 1, 0; i < len(all); i++ {
		longest = max(longest, all[i].From.Sub(all[last].To))
		if all[i].To.After(all[last].To) {
			last = i
		}
	}
	return longest
}

// longest is the longest of them.
func longest(all []lab.Interval) (d time.Duration) {
	for _, i := range all {
		d = max(d, i.Lasted())
	}
	return d
}

// notRefused returns nil if no write of the watch's client was refused by a Redis, and its connection was not ended.
func notRefused(w *lab.Watch) error {
	for kind, n := range w.Writer.Errors() {
		if kind != "timeout" && !strings.HasPrefix(kind, "find: ") { // timeouts are counted by the measurement of the pause
			return fmt.Errorf("%d writes failed with %s", n, kind)
		}
	}
	return nil
}

// terminate stops processes, each after its delay, and fails the test if one does not exit with 0.
func terminate(t *testing.T, ps map[*lab.Process]time.Duration) {
	t.Helper()
	var all sync.WaitGroup
	for p, after := range ps {
		all.Go(func() {
			<-time.After(after)
			if code, err := p.Stop(syscall.SIGTERM); err != nil || code != 0 {
				t.Errorf("%s left with %d: %v", p.Name, code, err)
			}
		})
	}
	all.Wait()
}

// seldom makes a look that is dear one that is taken ten times a second.
func seldom(look func() error) func() error {
	next := time.Now()
	return func() error {
		if time.Now().Before(next) {
			return nil
		}
		next = time.Now().Add(100 * time.Millisecond)
		return look()
	}
}
