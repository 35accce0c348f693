package observable

import (
	"sync"
	"testing"
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
