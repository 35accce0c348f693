// Package board holds what is known, for many who learn and one who decides.
package board

import "sync"

// Board is a value and a signal that it changed. Its zero value is no board: use New.
type Board[T any] struct {
	mu      sync.Mutex
	value   T
	changed chan struct{}
}

// New makes a board that shows the zero value.
func New[T any]() *Board[T] { return &Board[T]{changed: make(chan struct{}, 1)} }

// Learn changes the value and wakes whoever decides.
func (b *Board[T]) Learn(change func(*T)) {
	b.mu.Lock()
	change(&b.value)
	b.mu.Unlock()
	select {
	case b.changed <- struct{}{}:
	default:
	}
}

// Get is the value now.
func (b *Board[T]) Get() T {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.value
}

// Changed receives after one or more changes that nobody has received yet.
func (b *Board[T]) Changed() <-chan struct{} { return b.changed }
