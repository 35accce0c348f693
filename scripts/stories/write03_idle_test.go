package stories_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"resec/scripts/lab"
)

// The lock is passed to agents that do nothing with it, for they hang: the one that leaves takes it again. Another that lives
// gets it then; where there is none, Redis stays writable, and nothing of ours is left on it.
func TestWrite03_SuccessorDoesNothing(t *testing.T) {
	t.Parallel()
	for _, v := range []struct{ n, hang int }{{2, 1}, {3, 2}, {3, 1}, {5, 2}} {
		t.Run(fmt.Sprintf("n=%d/%d hang", v.n, v.hang), func(t *testing.T) {
			t.Parallel()
			k := planned(t, lab.Plan{Members: v.n, Born: true, Env: []string{"HEALTHCHECK_INTERVAL=3s", "CONSUL_LOCK_TTL=10s"}}) // their sessions outlive it
			m := started(t, k)
			fig, w := figures(t), watched(t, k)
			idle := others(k, m)[:v.hang]
			for _, i := range idle {
				k.Agents[i].Freeze()
			}
			terminate(t, map[*lab.Process]time.Duration{k.Agents[m]: 0})
			if v.hang == v.n-1 {
				ok(t, k.Redis[m].IsMaster(v.n-1))
			} else {
				lab.Eventually(t, patience, func() error { return errors.Join(unfenced(k), k.Redis[m].Is("role", "slave")) })
			}
			left(t, k.Redis[m], 0, 10)
			fig.within("write pause", pause(w), 500*time.Millisecond)
			for _, i := range idle {
				k.Agents[i].Thaw()
			}
			ok(t, k.Agent(m))
			whole(t, k)
			if v, _ := judged(t, k, w); errors.Join(v.NothingLost(), v.NeverTwo(0), v.NeverTwoListed(0)) != nil {
				t.Error(v)
			}
			ok(t, k.Stop())
		})
	}
}
