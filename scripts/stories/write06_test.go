package stories_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"resec/scripts/lab"
)

// The master is cut off from Consul and from its replicas, while its clients reach it and continue to write: its guard
// closes it before another opens, and all that is lost is what it took until then.
func TestWrite06_MasterCutOffFromAllButClients(t *testing.T) {
	t.Parallel()
	for i, n := range []int{2, 3} {
		for j, cut := range cuts {
			if (i+j)%2 == 0 && !*all {
				continue
			}
			t.Run(fmt.Sprintf("n=%d/%s", n, cut.name), func(t *testing.T) {
				t.Parallel()
				p := lab.Plan{Members: n, StartParked: true, Network: true, Servers: 1}
				if cut.how != lab.Drop { // a network that rejects fakes a death
					p.Env = []string{"EARLY_TAKEOVER=false"}
				}
				k := planned(t, p)
				m := started(t, k)
				fig, w := figures(t), watched(t, k)
				from := time.Now()
				ok(t, k.Net.Isolate(k.Hosts[m], cut.how, k.Here))
				throughout(t, time.Until(from.Add(40*time.Second)), neverTwo(w))
				next := firstBy(w, rest(k, m)...)
				ok(t, k.Heal(k.Hosts[m]))
				v, now := judged(t, k, w)
				fig.note("client outage", v.Outage.Lasted())
				if err := errors.Join(v.NeverTwo(0), v.NeverTwoListed(0)); err != nil {
					t.Error(err)
				}
				if next.IsZero() && cut.how == lab.Refuse { // all got along with the connections that they had
					if err := errors.Join(v.NothingLost(), v.NoResync()); err != nil { // on a busy machine its session may end in the end
						t.Errorf("%s leads: %v", k.Redis[now].Name, err)
					}
				} else {
					gaveWay(t, k, w, v, m, now, from, next)
				}
				if cut.how != lab.Refuse {
					fig.never("closed after", lastBy(w, k.Redis[m]).Sub(from), closing)
					fig.within("new master", next.Sub(from), 2*interval+evidence+asking)
				}
				ok(t, k.Stop())
			})
		}
	}
}

// gaveWay fails the test if the old master accepted a write after the next one's first, or where more is lost than what
// it accepted since it was cut off.
func gaveWay(t *testing.T, k *lab.Cluster, w *lab.Watch, v lab.Verdict, m, now int, from, next time.Time) {
	t.Helper()
	last := lastBy(w, k.Redis[m])
	if next.IsZero() || next.Before(last) || now == m {
		t.Errorf("%s accepted writes until %s, another from %s, and now %s leads", k.Redis[m].Name, last, next, k.Redis[now].Name)
	}
	if err := v.LostOnlyBetween(from, last.Add(lateness)); err != nil {
		t.Error(err)
	}
}

// Cut off like that, its whole machine hangs too, and continues before the network does: nobody tells its Redis that its
// replicas have left, and it has not counted the time. Its agent knows that it hung.
func TestWrite06_CutOffAndFrozen(t *testing.T) {
	t.Parallel()
	for _, n := range []int{2, 3} {
		t.Run(fmt.Sprintf("n=%d", n), func(t *testing.T) {
			t.Parallel()
			k := planned(t, lab.Plan{Members: n, StartParked: true, Network: true, Servers: 1})
			m := started(t, k)
			fig, w := figures(t), watched(t, k)
			from := time.Now()
			ok(t, k.Net.Isolate(k.Hosts[m], lab.Drop, k.Here))
			for _, p := range k.Processes(m) {
				p.Freeze()
			}
			succeeded(t, k, w, m)
			throughout(t, time.Until(from.Add(15*time.Second)), neverTwo(w))
			for _, p := range k.Processes(m) {
				p.Thaw()
			}
			throughout(t, 3*time.Second, func() error { return nil })
			ok(t, k.Heal(k.Hosts[m]))
			v := became(t, k, w, m)
			var two []lab.Interval
			for _, o := range v.Two {
				two = append(two, o.Interval)
			}
			fig.never("two writable", longest(two), firstPass)
			if err := errors.Join(v.NeverTwoListed(0), unfenced(k)); err != nil {
				t.Error(err)
			}
			ok(t, k.Stop())
		})
	}
}
