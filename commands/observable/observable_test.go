package observable

import (
	"sync"
	"testing"
)

func TestBoard(t *testing.T) {
	b := New[int]()
	v, changed := b.Watch()
	if v != 0 {
		t.Errorf("a new board shows %d", v)
	}
	select {
	case <-changed:
		t.Error("nothing was learned, and a change is told")
	default:
	}
	b.Update(func(n *int) { *n++ })
	<-changed
	if v := b.Load(); v != 1 {
		t.Errorf("it shows %d, not what was learned", v)
	}
}

// All who wait are woken, and who waits and then looks misses nothing, however many learn at once.
func TestBoard_LosesNoChange(t *testing.T) {
	const learners, waiters, times = 8, 3, 1000
	b := New[int]()
	var wg sync.WaitGroup
	for range waiters {
		wg.Go(func() {
			for {
				v, changed := b.Watch()
				if v == learners*times {
					return
				}
				<-changed
			}
		})
	}
	for range learners {
		wg.Go(func() {
			for range times {
				b.Update(func(n *int) { *n++ })
			}
		})
	}
	wg.Wait()
}
