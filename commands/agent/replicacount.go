package agent

import (
	"cmp"
	"sync"
	"time"

	"resec/commands/cluster"
	"resec/handlers/redis"
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

// countReplicas tells how many recorded members keep up with our Redis, and how many others may count for its guard as well. Those
// say nothing of where the cluster is: a challenger counts members. A replica is a member's by its announced address; where
// none has that, for there may be a NAT between, by what the member's own Redis says.
func countReplicas(st redis.Status, v cluster.View, me string, says func(id string) bool, policy cluster.GuardPolicy) (members, strangers int) {
	by := map[string]redis.Replica{}
	nameless := 0
	for _, r := range st.Replicas {
		id := memberAtAddr(v, me, r.Addr)
		if o, twice := by[id]; id == "" && r.Online && r.Lag < policy.MaxCountedLag() {
			nameless++
		} else if id != "" && (!twice || r.Online && (!o.Online || r.Lag < o.Lag)) { // of one that came back the old link is listed for a while
			by[id] = r
		}
	}
	for id := range v.State.Members {
		r, listed := by[id]
		switch {
		case id == me:
		case listed && r.Online && r.Lag < policy.MaxCountedLag():
			members++
		case !listed && nameless > 0 && says(id):
			members++
			nameless--
		}
	}
	return members, nameless
}

// unknownReplicaGrace is for how long there must be more strangers before the guard is set higher for them: a member that dies has no Redis
// that speaks for its link a moment before our Redis drops that.
const unknownReplicaGrace = 300 * time.Millisecond

// unknownReplicas is how many strangers the guard is set higher for.
type unknownReplicas struct {
	count int       // -1: not known yet
	since time.Time // there are more; zero: there are not
}

// observe takes in how many there are.
func (s unknownReplicas) observe(n int, now time.Time) unknownReplicas {
	switch {
	case s.count < 0 || n <= s.count:
		return unknownReplicas{count: n}
	case s.since.IsZero():
		return unknownReplicas{count: s.count, since: now}
	case now.Sub(s.since) < unknownReplicaGrace:
		return s
	}
	return unknownReplicas{count: n}
}

// memberAtAddr is the recorded member whose Redis is announced at an address.
func memberAtAddr(v cluster.View, me, addr string) string {
	for id, r := range v.State.Members {
		if id != me && cmp.Or(v.LiveAgents[id].Address, r.Address) == addr {
			return id
		}
	}
	return ""
}
