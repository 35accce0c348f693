package stories_test

import (
	"fmt"
	"testing"
	"time"

	"resec/scripts/lab"
)

// cuts are the ways in which a link fails, by name.
var cuts = []struct {
	name string
	how  lab.Cut
}{{"drop", lab.Drop}, {"reset", lab.Reset}, {"refuse", lab.Refuse}}

// The master's machine loses Consul, and nothing else, for a minute: its Redis hands over to one that has Consul. Where
// only new connections are refused, its agent may get along with those that it has: then nothing moves.
func TestWrite02_MastersAgentCutOffFromConsul(t *testing.T) {
	t.Parallel()
	for i, n := range []int{2, 3} {
		for j, cut := range cuts {
			if (i+j)%2 == 0 && !*all {
				continue
			}
			t.Run(fmt.Sprintf("n=%d/%s", n, cut.name), func(t *testing.T) {
				t.Parallel()
				k := planned(t, lab.Plan{Members: n, StartParked: true, Network: true, Servers: 1})
				m := started(t, k)
				fig, w := figures(t), watched(t, k)
				from := time.Now()
				ok(t, k.Net.Cut(k.Hosts[m], k.Servers[0].Net, cut.how))
				if cut.how != lab.Refuse {
					fig.within("new master", succeeded(t, k, w, m).Sub(from), 2*interval+500*time.Millisecond)
					lab.Eventually(t, patience, func() error { _, err := k.Linked(); return err })
				}
				throughout(t, time.Until(from.Add(time.Minute)), neverTwo(w))
				ok(t, k.Net.Heal(k.Hosts[m], k.Servers[0].Net))
				v, now := judged(t, k, w)
				if cut.how != lab.Refuse && now == m {
					t.Errorf("%s leads again", k.Redis[m].Name)
				}
				cleanly(t, fig, w, v)
				ok(t, k.Stop())
			})
		}
	}
}
