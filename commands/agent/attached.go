package agent

import (
	"cmp"
	"sync"
	"time"

	"resec/commands/lock"
	"resec/handlers/redis"
)

// linked are the recorded members whose Redis servers said, when they were looked at last, that they replicate our history.
type linked struct {
	mu    sync.Mutex
	ids   map[string]bool
	looks map[string]chan struct{} // by id: asks for a look at one now
}

// watch returns what asks for a look at a member's Redis, and what ends that.
func (l *linked) watch(id string) (look chan struct{}, end func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.looks == nil {
		l.looks, l.ids = map[string]chan struct{}{}, map[string]bool{}
	}
	look = make(chan struct{}, 1)
	l.looks[id] = look
	return look, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.looks[id] == look {
			delete(l.looks, id)
			delete(l.ids, id)
		}
	}
}

// set tells whether that is new.
func (l *linked) set(id string, is bool) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ids == nil || l.ids[id] == is {
		return false
	}
	l.ids[id] = is
	return true
}

func (l *linked) has(id string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.ids[id]
}

// ask asks for a look at all.
func (l *linked) ask() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, look := range l.looks {
		poke(look)
	}
}

// attached tells how many recorded members keep up with our Redis, and how many others may count for its guard as well. Those
// say nothing of where the cluster is: a challenger counts members. A replica is a member's by its announced address; where
// none has that, for there may be a NAT between, by what the member's own Redis says.
func attached(st redis.Status, v lock.View, me string, says func(id string) bool, policy lock.GuardPolicy) (members, strangers int) {
	by := map[string]redis.Replica{}
	nameless := 0
	for _, r := range st.Replicas {
		id := memberAt(v, me, r.Addr)
		if o, twice := by[id]; id == "" && r.Online && r.Lag < policy.Late() {
			nameless++
		} else if id != "" && (!twice || r.Online && (!o.Online || r.Lag < o.Lag)) { // of one that came back the old link is listed for a while
			by[id] = r
		}
	}
	for id := range v.State.Record {
		r, listed := by[id]
		switch {
		case id == me:
		case listed && r.Online && r.Lag < policy.Late():
			members++
		case !listed && nameless > 0 && says(id):
			members++
			nameless--
		}
	}
	return members, nameless
}

// strangeFor is for how long there must be more strangers before the guard is set higher for them: a member that dies has no Redis
// that speaks for its link a moment before our Redis drops that.
const strangeFor = 300 * time.Millisecond

// strange is how many strangers the guard is set higher for.
type strange struct {
	n     int       // -1: not known yet
	since time.Time // there are more; zero: there are not
}

// next takes in how many there are.
func (s strange) next(n int, now time.Time) strange {
	switch {
	case s.n < 0 || n <= s.n:
		return strange{n: n}
	case s.since.IsZero():
		return strange{n: s.n, since: now}
	case now.Sub(s.since) < strangeFor:
		return s
	}
	return strange{n: n}
}

// memberAt is the recorded member whose Redis is announced at an address.
func memberAt(v lock.View, me, addr string) string {
	for id, r := range v.State.Record {
		if id != me && cmp.Or(v.Members[id].Address, r.Address) == addr {
			return id
		}
	}
	return ""
}
