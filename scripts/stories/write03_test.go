package stories_test

import (
	"errors"
	"fmt"
	"net"
	"testing"
	"time"

	"resec/scripts/lab"
)

// The master's agent is stopped: it hands over first, and its Redis replicates from the next master.
func TestWrite03_MastersAgentLeaves(t *testing.T) {
	t.Parallel()
	for _, n := range []int{2, 3} {
		t.Run(fmt.Sprint(n, " members"), func(t *testing.T) {
			t.Parallel()
			k := planned(t, lab.Plan{Members: n, StartParked: true})
			m := started(t, k)
			fig, w := figures(t), watched(t, k)
			terminate(t, map[*lab.Process]time.Duration{k.Agents[m]: 0})
			handedOver(t, k, fig, w, m)
			left(t, k.Redis[m], 0, 10)
			ok(t, k.Agent(m))
			whole(t, k)
			ok(t, k.Stop())
		})
	}
}

// handedOver waits until another than the m-th leads all that run, and fails the test if a write was lost, or the
// m-th agent has left anything behind.
func handedOver(t *testing.T, k *lab.Cluster, fig *noise, w *lab.Watch, m int) {
	t.Helper()
	lab.Eventually(t, patience, func() error { _, err := k.Linked(); return err })
	lab.Eventually(t, 10*time.Second, func() error { return forgotten(k, m) })
	throughout(t, 3*time.Second, seldom(func() error { _, err := k.Linked(); return err }))
	short(t, fig, w, true)
	if next, err := k.Master(); err != nil || next == m {
		t.Errorf("the master is %d, was %d: %v", next, m, err)
	}
}

// forgotten returns nil if Consul has neither a service nor the presence of the m-th agent.
func forgotten(k *lab.Cluster, m int) error {
	for _, role := range []string{"-master", "-slave"} {
		entries, err := k.Entries(k.Name+role, "")
		if err != nil {
			return err
		}
		for _, e := range entries {
			if net.JoinHostPort(e.Service.Address, fmt.Sprint(e.Service.Port)) == k.Redis[m].Addr {
				return fmt.Errorf("%s is left as %s", e.Service.ID, e.Service.Service)
			}
		}
	}
	pair, _, err := k.Consul.Client.KV().Get(fmt.Sprintf("%s/members/m%d", lockKey(k), m), nil)
	if err == nil && pair != nil {
		err = fmt.Errorf("%s is left: %s", pair.Key, pair.Value)
	}
	return err
}

// telling is for how long two may be listed at a handover, or an early takeover: a Consul agent that tells its servers of a
// check tells of the service with it, as it has it, which may be a moment after the next master has changed that.
const telling = 100 * time.Millisecond

// short fails the test if a handover took longer than it may, or lost a write.
func short(t *testing.T, fig *noise, w *lab.Watch, partial bool) {
	t.Helper()
	v := w.Verdict(30 * time.Second)
	t.Log(v)
	fig.within("write pause", pause(w), 500*time.Millisecond)
	fig.within("none listed", longest(v.None), 500*time.Millisecond)
	err := errors.Join(v.Settled, v.NothingLost(), v.NeverTwo(0), v.NeverTwoListed(telling))
	if partial {
		err = errors.Join(err, v.NoResync())
	}
	if err != nil {
		t.Error(err)
	}
}

// Redis and its agent are stopped at the same moment, or one a little before the other, as by a supervisor that stops both.
func TestWrite03_RedisAndAgentLeaveTogether(t *testing.T) {
	t.Parallel()
	for i, n := range []int{2, 3} {
		for j, v := range []struct {
			name         string
			redis, agent time.Duration // when each is stopped
		}{
			{"at once", 0, 0},
			{"redis 10 ms earlier", 0, 10 * time.Millisecond},
			{"redis 50 ms earlier", 0, 50 * time.Millisecond},
			{"redis 10 ms later", 10 * time.Millisecond, 0},
			{"redis 50 ms later", 50 * time.Millisecond, 0},
		} {
			if !turn(i, j) {
				continue
			}
			t.Run(fmt.Sprint(n, " members, ", v.name), func(t *testing.T) {
				t.Parallel()
				k := planned(t, lab.Plan{Members: n, StartParked: true})
				m := started(t, k)
				fig, w := figures(t), watched(t, k)
				terminate(t, map[*lab.Process]time.Duration{k.Redis[m].Process: v.redis, k.Agents[m]: v.agent})
				handedOver(t, k, fig, w, m)
				ok(t, k.Boot(m))
				whole(t, k)
				ok(t, k.Stop())
			})
		}
	}
}

// All members are restarted one after the other, each when the last one is back.
func TestWrite03_Rolling(t *testing.T) {
	t.Parallel()
	for _, persist := range []lab.Persist{lab.RDB, lab.AOF} {
		t.Run(string(persist), func(t *testing.T) {
			t.Parallel()
			k := planned(t, lab.Plan{Members: 3, StartParked: true, Persist: persist})
			started(t, k)
			fig, w := figures(t), watched(t, k)
			for i, r := range k.Redis {
				terminate(t, map[*lab.Process]time.Duration{r.Process: 0, k.Agents[i]: 0})
				ok(t, k.Boot(i))
				whole(t, k)
			}
			short(t, fig, w, persist == lab.RDB) // an AOF does not say which history it is of
			ok(t, k.Stop())
		})
	}
}
