package lock

import (
	"errors"
	"sync"

	"resec/commands/cluster"
)

// LastKnownState remembers the last state with a master that this process has seen. If a state vanishes or cannot be read any
// more, it was changed by hand, or Consul has lost its data. The master that it named still accepts writes, with the same guard.
// Without this memory the members would take the cluster for one that never had a master, and ask for no proof. A nil
// LastKnownState remembers nothing.
type LastKnownState struct {
	mu    sync.Mutex
	state cluster.State
}

// fill remembers the state of a view that has a master. Into a view without one it puts the remembered state, which the next
// holder of the lock writes back. A state of a newer version is neither missing nor damaged: the view gets the remembered state
// to read, but keeps its error, so that nothing is written.
func (m *LastKnownState) fill(v cluster.View) cluster.View {
	if m == nil {
		return v
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if errors.Is(v.Err, cluster.ErrNewerVersion) {
		v.State = m.state
		return v
	}
	if v.Err == nil && v.State.Master != nil {
		m.state = v.State
		return v
	}
	if m.state.Master != nil {
		v.State, v.FromLastKnown, v.Err = m.state, true, nil
	}
	return v
}
