package board

import (
	"sync"
	"testing"
	"time"
)

// signalled tells whether a change waits to be received.
func signalled[T any](b *Board[T]) bool {
	select {
	case <-b.Changed():
		return true
	default:
		return false
	}
}

func TestBoard(t *testing.T) {
	b := New[int]()
	add := func(n *int) { *n++ }
	for _, step := range []struct {
		name   string
		learn  int // how often
		value  int
		signal bool
	}{
		{"a new board shows zero, and nothing has changed", 0, 0, false},
		{"what was learned is signalled", 1, 1, true},
		{"a signal is received once", 0, 1, false},
		{"changes that nobody received are one signal", 3, 4, true},
		{"and no second one", 0, 4, false},
	} {
		for range step.learn {
			b.Learn(add)
		}
		if got := b.Get(); got != step.value {
			t.Errorf("%s: value %d, want %d", step.name, got, step.value)
		}
		if got := signalled(b); got != step.signal {
			t.Errorf("%s: signal %t, want %t", step.name, got, step.signal)
		}
	}
}

// Who waits for the signal and then looks misses nothing, however many learn at once.
func TestBoard_LosesNoChange(t *testing.T) {
	const learners, times = 8, 1000
	b := New[int]()
	var wg sync.WaitGroup
	for range learners {
		wg.Go(func() {
			for range times {
				b.Learn(func(n *int) { *n++ })
			}
		})
	}
	late := time.After(10 * time.Second)
	for b.Get() < learners*times {
		select {
		case <-b.Changed():
		case <-late:
			t.Fatalf("no signal after %d of %d changes", b.Get(), learners*times)
		}
	}
	wg.Wait()
}
