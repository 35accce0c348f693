package stories_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"resec/scripts/lab"
)

// Without a guard the lease is all there is: a master whose agent has lost Consul is fenced when that is over, and takes
// writes again when Consul is back; what another agent or Redis takes from it meanwhile, it does not know.
func TestWrite10_WithoutAGuard(t *testing.T) {
	t.Parallel()
	t.Run("Consul is frozen", func(t *testing.T) {
		t.Parallel()
		k := planned(t, lab.Plan{Members: 2, StartParked: true, Servers: 1, Env: []string{"GUARD=off"}})
		m := started(t, k)
		if err := guarded(k, m, -1); err == nil {
			t.Error("a guard of -1 is set")
		}
		fig, w := figures(t), watched(t, k)
		k.Servers[0].Freeze()
		from := time.Now()
		lab.Eventually(t, patience, func() error { return closed(k.Redis[m]) })
		fig.within("fenced after", time.Since(from), sessionTTL+time.Second)
		k.Servers[0].Thaw()
		lab.Eventually(t, patience, func() error { _, err := k.Linked(); return err })
		v, _ := judged(t, k, w)
		if err := errors.Join(v.NothingLost(), v.NeverTwo(0), v.NeverTwoListed(0), unfenced(k)); err != nil {
			t.Error(err)
		}
		ok(t, k.Stop())
	})
	t.Run("the master is cut off from all but its clients", func(t *testing.T) {
		t.Parallel()
		k := planned(t, lab.Plan{Members: 3, StartParked: true, Network: true, Servers: 1, Env: []string{"GUARD=off"}})
		m := started(t, k)
		fig, w := figures(t), watched(t, k)
		from := time.Now()
		ok(t, k.Net.Isolate(k.Hosts[m], lab.Drop, k.Here))
		next := succeeded(t, k, w, m)
		fig.note("new master", next.Sub(from))
		ok(t, k.Heal(k.Hosts[m]))
		v := became(t, k, w, m)
		if closes := lastBy(w, k.Redis[m]); closes.Sub(from) > sessionTTL+time.Second {
			t.Errorf("%s accepted writes until %s after the cut", k.Redis[m].Name, closes.Sub(from))
		}
		if err := errors.Join(v.LostOnlyBetween(from, from.Add(sessionTTL+time.Second)), unfenced(k)); err != nil {
			t.Error(fmt.Errorf("%w: %v", err, v))
		}
		ok(t, k.Stop())
	})
}
