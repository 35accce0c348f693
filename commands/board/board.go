// Package board holds what is known, for many who learn and many who wait for it.
package board

import "sync"

// Board is a value, and word of its changes. Its zero value is no board: use New.
type Board[T any] struct {
	mu    sync.Mutex
	value T
	next  chan struct{} // closed by the next change
}

// New makes a board that shows the zero value.
func New[T any]() *Board[T] { return &Board[T]{next: make(chan struct{})} }

// Learn changes the value and wakes all who wait.
func (b *Board[T]) Learn(change func(*T)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	change(&b.value)
	close(b.next)
	b.next = make(chan struct{})
}

// Get is the value now.
func (b *Board[T]) Get() T {
	v, _ := b.Wait()
	return v
}

// Wait is the value now, and a channel that is closed when it is no longer that.
func (b *Board[T]) Wait() (T, <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.value, b.next
}
