package lock

import (
	"resec/commands/cluster"
)

import "sync"

// LastKnownState is the last state with a master in it that this process has seen. One that vanishes, or cannot be read any more, was
// changed by hand, or Consul has lost its data: the master that it named accepts writes still, and its guard is the same.
// Without a memory its members would take it for a cluster that never had one, and ask for no evidence. The nil Memory
// remembers nothing.
type LastKnownState struct {
	mu    sync.Mutex
	state cluster.State
}

// Fill remembers what a view shows, and puts into one that shows no master what is remembered: whoever acquires the lock
// writes it back.
func (m *LastKnownState) Fill(v cluster.View) cluster.View {
	if m == nil {
		return v
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case v.Err == nil && v.State.Master != nil:
		m.state = v.State
	case m.state.Master != nil:
		v.State, v.FromLastKnown, v.Err = m.state, true, nil
	}
	return v
}
