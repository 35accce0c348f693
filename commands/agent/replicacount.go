package agent

import (
	"sync"
)

// replicaLinks are the recorded members whose Redis servers said, when they were looked at last, that they replicate our history.
type replicaLinks struct {
	mu        sync.Mutex
	streaming map[string]bool
	probes    map[string]chan struct{} // by id: asks for a look at one now
}

// watch returns what asks for a look at a member's Redis, and what ends that.
func (l *replicaLinks) watch(id string) (look chan struct{}, end func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.probes == nil {
		l.probes, l.streaming = map[string]chan struct{}{}, map[string]bool{}
	}
	look = make(chan struct{}, 1)
	l.probes[id] = look
	return look, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.probes[id] == look {
			delete(l.probes, id)
			delete(l.streaming, id)
		}
	}
}

// set tells whether that is new.
func (l *replicaLinks) set(id string, is bool) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.streaming == nil || l.streaming[id] == is {
		return false
	}
	l.streaming[id] = is
	return true
}

func (l *replicaLinks) has(id string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.streaming[id]
}

// probeAll asks for a look at all.
func (l *replicaLinks) probeAll() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, look := range l.probes {
		signal(look)
	}
}
