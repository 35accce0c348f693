package observable

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
)

func TestValue(t *testing.T) {
	v := New[int]()
	n, changed := v.Watch()
	if n != 0 {
		t.Errorf("a new value is %d, want 0", n)
	}
	select {
	case <-changed:
		t.Error("the channel is closed before the first update")
	default:
	}
	v.Update(func(n *int) { *n++ })
	<-changed
	if n := v.Load(); n != 1 {
		t.Errorf("after the update the value is %d, want 1", n)
	}
}

// A watcher that waits and then reads misses no change, however many goroutines update the value at once.
func TestValue_WatcherMissesNoChange(t *testing.T) {
	const writers, watchers, times = 8, 3, 1000
	v := New[int]()
	var wg sync.WaitGroup
	for range watchers {
		wg.Go(func() {
			for {
				n, changed := v.Watch()
				if n == writers*times {
					return
				}
				<-changed
			}
		})
	}
	for range writers {
		wg.Go(func() {
			for range times {
				v.Update(func(n *int) { *n++ })
			}
		})
	}
	wg.Wait()
}

type status struct {
	role string
	at   int
}

func role(s status) string { return s.role }

func TestOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		v := New[status]()
		var got []string
		var done sync.WaitGroup
		done.Go(func() { On(ctx, v, role, func(r string) { got = append(got, r) }) })
		for i, r := range []string{"", "master", "master", "replica", "replica", "master"} {
			synctest.Wait()
			v.Update(func(s *status) { *s = status{r, i} })
		}
		synctest.Wait()
		v.Update(func(s *status) { s.role = "replica" }) // back at once: no call
		v.Update(func(s *status) { s.role = "master" })
		synctest.Wait()
		cancel()
		done.Wait()
		v.Update(func(s *status) { s.role = "replica" })
		if d := cmp.Diff([]string{"", "master", "replica", "master"}, got); d != "" {
			t.Error(d)
		}
	})
}

// What changes while fn runs is seen by the next call, and a context that ended before the call means no call.
func TestOn_ChangesDuringACall(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	v := New[status]()
	var got []string
	On(ctx, v, role, func(r string) {
		got = append(got, r)
		switch r {
		case "":
			v.Update(func(s *status) { s.role = "merged" })
			v.Update(func(s *status) { s.role = "last" })
		case "last":
			cancel()
			v.Update(func(s *status) { s.role = "late" })
		}
	})
	if d := cmp.Diff([]string{"", "last"}, got); d != "" {
		t.Error(d)
	}
	On(ctx, v, role, func(string) { t.Error("fn was called after the end of the context") })
}

func TestSignal(t *testing.T) {
	c := make(chan struct{}, 1)
	Signal(c)
	Signal(c) // does not block
	<-c
	select {
	case <-c:
		t.Error("two signals were not merged into one")
	default:
	}
	Signal(c)
	<-c
}
