package lock

import (
	"errors"
	"sync"

	"resec/commands/cluster"
)

// LastKnownState is the last state with a master that this process has seen. If the state in Consul is missing or damaged, it
// was changed by hand, or Consul lost its data: the master that it named still accepts writes, and its guard is unchanged.
// Without the last known state the members would take the cluster for a new one and ask for no proof of closure. The nil
// LastKnownState keeps nothing.
type LastKnownState struct {
	mu    sync.Mutex
	state cluster.State
}

// Fill keeps the state of a view. A view without a master gets the last known state instead: whoever acquires the lock writes
// that back. A state of a newer version is neither missing nor damaged: the view gets the last known state to read, but keeps
// its error, so that nothing is written.
func (l *LastKnownState) Fill(v cluster.View) cluster.View {
	if l == nil {
		return v
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case errors.Is(v.Err, cluster.ErrNewerVersion):
		v.State = l.state
	case v.Err == nil && v.State.Master != nil:
		l.state = v.State
	case l.state.Master != nil:
		v.State, v.FromLastKnown, v.Err = l.state, true, nil
	}
	return v
}
