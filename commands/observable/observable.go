// Package observable holds one value that many goroutines change, and wakes the goroutines that wait for a change.
// It starts no goroutine of its own; every method may be called by any goroutine.
package observable

import (
	"sync"
)

// Value is a value that can be watched. Make it with New: the zero Value cannot be watched.
type Value[T any] struct {
	mu      sync.Mutex
	value   T
	changed chan struct{} // closed by the next Update
}

// New returns a Value that holds the zero value of T.
func New[T any]() *Value[T] { return &Value[T]{changed: make(chan struct{})} }

// Update changes the value and wakes every watcher. The value is locked while change runs: change must not block, and must not
// call a method of the same Value.
func (v *Value[T]) Update(change func(*T)) {
	v.mu.Lock()
	defer v.mu.Unlock()
	change(&v.value)
	close(v.changed)
	v.changed = make(chan struct{})
}

// Load returns the current value.
func (v *Value[T]) Load() T {
	value, _ := v.Watch()
	return value
}

// Watch returns the current value, and a channel that the next Update closes.
func (v *Value[T]) Watch() (T, <-chan struct{}) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.value, v.changed
}

// Signal wakes the goroutine that receives from c, now or when it receives next. The channel has a buffer of one, so Signal does
// not block. Signals that were not received yet are merged into one.
func Signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
