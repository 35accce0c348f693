// Package observable holds what is known, for many who learn and many who wait for it.
package observable

import "sync"

// Value is a value, and word of its changes. Its zero value is no board: use New.
type Value[T any] struct {
	mu    sync.Mutex
	value T
	next  chan struct{} // closed by the next change
}

// New makes a board that shows the zero value.
func New[T any]() *Value[T] { return &Value[T]{next: make(chan struct{})} }

// Update changes the value and wakes all who wait.
func (b *Value[T]) Update(change func(*T)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	change(&b.value)
	close(b.next)
	b.next = make(chan struct{})
}

// Load is the value now.
func (b *Value[T]) Load() T {
	v, _ := b.Watch()
	return v
}

// Watch is the value now, and a channel that is closed when it is no longer that.
func (b *Value[T]) Watch() (T, <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.value, b.next
}
