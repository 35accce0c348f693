package stories_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"resec/scripts/lab"
)

const (
	frozenFor = 20 * time.Second
	firstPass = 50 * time.Millisecond // in which a thawed Redis may answer what has waited in its sockets before the fence
)

// The master's Redis freezes. Its agent fences and parks it, which waits in its socket, and gives the lock away.
func TestWrite04_MasterFrozen(t *testing.T) {
	t.Parallel()
	for _, n := range []int{2, 3} {
		t.Run(fmt.Sprint("n=", n), func(t *testing.T) {
			t.Parallel()
			k := planned(t, lab.Plan{Members: n, StartParked: true})
			m := started(t, k)
			fig, w := figures(t), watched(t, k)
			after := thawed(t, k, w, m, fig, 0, k.Redis[m].Process)
			fig.within("new master", after, 2*time.Second)
			ok(t, k.Stop())
		})
	}
}

// The master's machine freezes, with all that is on it. Nobody can know whether its Redis takes writes: once its session
// has ended, the others wait, parked, until its guard must have closed it.
func TestWrite04_MastersHostFrozen(t *testing.T) {
	t.Parallel()
	for _, v := range []struct {
		name    string
		clients bool
		session time.Duration // until it ends: its check's TTL, or where the Consul agent freezes too, twice its own
		listed  time.Duration // two masters may be: a Consul agent that is back says what it knows
	}{
		{"resec and redis", false, 2 * interval, 0},
		{"resec, redis and consul", true, 2 * sessionTTL, time.Second},
	} {
		t.Run("n=3/"+v.name, func(t *testing.T) {
			t.Parallel()
			k := planned(t, lab.Plan{Members: 3, StartParked: true, Clients: v.clients})
			m := started(t, k)
			fig, w := figures(t), watched(t, k)
			after := thawed(t, k, w, m, fig, v.listed, k.Processes(m)...)
			if after < evidence {
				t.Errorf("another accepted writes after %s: before %s there was no evidence", after, evidence)
			}
			fig.within("new master", after, v.session+evidence+asking)
			ok(t, k.Stop())
		})
	}
}

// thawed freezes processes of the m-th member, the master, for a while, and returns how long it took until another
// accepted writes. The old one is a replica in the end.
func thawed(t *testing.T, k *lab.Cluster, w *lab.Watch, m int, fig *noise, listed time.Duration, ps ...*lab.Process) time.Duration {
	t.Helper()
	frozen := time.Now()
	for _, p := range ps {
		p.Freeze()
	}
	next := succeeded(t, k, w, m)
	throughout(t, time.Until(frozen.Add(frozenFor)), neverTwo(w))
	for _, p := range ps {
		p.Thaw()
	}
	v := became(t, k, w, m)
	var two time.Duration
	for _, o := range v.Two {
		two = max(two, o.Lasted())
	}
	fig.never("two writable", two, firstPass)
	fig.note("client outage", v.Outage.Lasted())
	// What the client had sent when it froze it does in its first pass. Nobody waits for that any more, so that nothing
	// that was acknowledged is lost; but its history has a fork, which takes one full resync.
	if err := errors.Join(v.NothingLost(), v.NeverTwoListed(listed)); err != nil {
		t.Error(err)
	}
	if v.Resyncs > 1 {
		t.Errorf("%d full resyncs, of one server that had frozen", v.Resyncs)
	}
	return next.Sub(frozen)
}
