package stories_test

import (
	"errors"
	"testing"
	"time"

	"resec/scripts/lab"
)

// While the master is cut off from all but its clients, its keys in Consul are deleted. The other agents remember whose guard
// must close first. If they were restarted too, they know nothing, and no Redis accepts writes until the master answers.
func TestWrite06_StateDeletedMeanwhile(t *testing.T) {
	t.Parallel()
	state := func(k *lab.Cluster) error {
		_, err := k.Consul.Client.KV().Delete(lockKey(k)+"/state", nil)
		return err
	}
	tree := func(k *lab.Cluster) error { _, err := k.Consul.Client.KV().DeleteTree(lockKey(k), nil); return err }
	for i, v := range []struct {
		name    string
		members int
		lag     time.Duration
		forget  func(*lab.Cluster) error
		frozen  bool // the whole host
		reborn  bool // the others' agents
		after   time.Duration
	}{
		{"n=2, the state", 2, maxLag, state, false, false, 700 * time.Millisecond},
		{"n=2, the tree", 2, maxLag, tree, false, false, 700 * time.Millisecond},
		{"n=3, the state, a long lag", 3, 15 * time.Second, state, false, false, 700 * time.Millisecond},
		{"n=3, the tree, a long lag", 3, 15 * time.Second, tree, false, false, 700 * time.Millisecond},
		{"n=2, the state, frozen", 2, maxLag, state, true, false, 700 * time.Millisecond},
		{"n=2, the state, the other agents restarted", 2, maxLag, state, false, true, 700 * time.Millisecond},
		{"n=2, the state, the other agents restarted, parked by then", 2, maxLag, state, false, true, 5 * time.Second},
		{"n=3, the tree, the other agents restarted, parked by then", 3, maxLag, tree, false, true, 5 * time.Second},
	} {
		if i%3 == 1 && !*all {
			continue
		}
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			k := planned(t, lab.Plan{Members: v.members, StartParked: true, Network: true, Servers: 1, Env: []string{"GUARD_MAX_LAG=" + v.lag.String()}})
			m := started(t, k)
			fig, w := figures(t), watched(t, k)
			from := time.Now()
			ok(t, k.Net.Isolate(k.Hosts[m], lab.Drop, k.Here))
			if v.frozen {
				for _, p := range k.Processes(m) {
					p.Freeze()
				}
			}
			<-time.After(v.after)
			if v.reborn {
				for _, i := range others(k, m) {
					k.Agents[i].Kill()
				}
			}
			ok(t, v.forget(k))
			if v.reborn {
				for _, i := range others(k, m) {
					ok(t, k.Agent(i))
				}
			}
			throughout(t, time.Until(from.Add(20*time.Second+v.lag)), neverTwo(w))
			next := firstBy(w, rest(k, m)...)
			for _, p := range k.Processes(m) {
				p.Thaw()
			}
			ok(t, k.Heal(k.Hosts[m]))
			judgement, now := judged(t, k, w)
			var two []lab.Interval
			for _, o := range judgement.Two {
				two = append(two, o.Interval)
			}
			if v.frozen {
				fig.never("two writable", longest(two), firstPass)
			} else if err := judgement.NeverTwo(0); err != nil {
				t.Error(err)
			}
			switch {
			case v.reborn && !next.IsZero():
				t.Errorf("another opened %s after the cut, and nothing proved that it might", next.Sub(from))
			case !v.reborn && (now == m || next.Before(from.Add(v.lag))):
				t.Errorf("%s leads, and another opened %s after the cut", k.Redis[now].Name, next.Sub(from))
			case !v.reborn && !v.frozen:
				gaveWay(t, k, w, judgement, m, now, from, next)
				fig.never("closed after", lastBy(w, k.Redis[m]).Sub(from), closing+v.lag-maxLag)
			}
			if err := errors.Join(judgement.NeverTwoListed(0), unfenced(k), k.Stop()); err != nil {
				t.Error(err)
			}
		})
	}
}
