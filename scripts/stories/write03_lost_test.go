package stories_test

import (
	"fmt"
	"testing"
	"time"

	"resec/scripts/lab"
)

// The master's agent is stopped right after its session was lost: it acquires the lock again, and hands over as always.
func TestWrite03_LeavesWithoutItsLock(t *testing.T) {
	t.Parallel()
	for i, n := range []int{2, 3} {
		for j, after := range []time.Duration{0, 5, 20, 50} {
			if !turn(i, j) {
				continue
			}
			after *= time.Millisecond
			t.Run(fmt.Sprintf("n=%d/%s", n, after), func(t *testing.T) {
				t.Parallel()
				k := planned(t, lab.Plan{Members: n, StartParked: true})
				m := started(t, k)
				fig, w := figures(t), watched(t, k)
				p, _, err := k.Consul.Client.KV().Get(lockKey(k), nil)
				ok(t, err)
				_, err = k.Consul.Client.Session().Destroy(p.Session, nil)
				ok(t, err)
				terminate(t, map[*lab.Process]time.Duration{k.Agents[m]: after})
				handedOver(t, k, fig, w, m)
				left(t, k.Redis[m], 0, 10)
				ok(t, k.Agent(m))
				whole(t, k)
				ok(t, k.Stop())
			})
		}
	}
}
