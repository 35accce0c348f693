package stories_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"resec/scripts/lab"
)

// The lock is passed to agents that do nothing with it, for they hang: the one that leaves takes it again. Another that lives
// gets it then; if there is none, Redis stays writable, and nothing of ours is left on it.
func TestWrite03_SuccessorDoesNothing(t *testing.T) {
	t.Parallel()
	for _, v := range []struct{ n, hang int }{{2, 1}, {3, 2}, {3, 1}, {5, 2}} {
		t.Run(fmt.Sprintf("n=%d/%d hang", v.n, v.hang), func(t *testing.T) {
			t.Parallel()
			k := planned(t, lab.Plan{Members: v.n, StartParked: true, Env: []string{"HEALTHCHECK_INTERVAL=3s", "CONSUL_LOCK_TTL=10s"}}) // their sessions outlive it
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
				lab.Eventually(t, patience, func() error { return errors.Join(k.Redis[m].Is("role", "slave"), unfenced(k)) })
			}
			left(t, k.Redis[m], 0, 10)
			fig.within("write pause", pause(w), 500*time.Millisecond)
			for _, i := range idle {
				k.Agents[i].Thaw()
			}
			ok(t, k.Agent(m))
			whole(t, k)
			if v, _ := judged(t, k, w); errors.Join(v.NothingLost(), v.NeverTwo(0), v.NeverTwoListed(telling)) != nil {
				t.Error(v)
			}
			ok(t, k.Stop())
		})
	}
}

// The one successor hangs at a step of its takeover, and then perhaps the Redis of the one that leaves: that is gone in less than the
// 5 s after which Nomad kills, and what was done to its Redis is undone.
func TestWrite03_SuccessorHangsAtAStep(t *testing.T) {
	t.Parallel()
	for i, step := range []string{"elected", "paused", "parked"} {
		for _, redisToo := range []bool{false, true} {
			if redisToo == (i == 1) && !*all {
				continue
			}
			t.Run(step+named(redisToo, ", and redis hangs"), func(t *testing.T) {
				t.Parallel()
				k := planned(t, lab.Plan{Members: 2, StartParked: true, Env: []string{"HEALTHCHECK_INTERVAL=5s", "HEALTHCHECK_TIMEOUT=2s", "CONSUL_LOCK_TTL=15s"}})
				at := t.TempDir()
				ok(t, k.Agent(0))
				published(t, k, 0)
				ok(t, k.Agent(1, "RESEC_HALT_AT="+step, "RESEC_HALT_IN="+at))
				whole(t, k)
				fig, w := figures(t), watched(t, k)
				told := time.Now()
				k.Agents[0].Signal(syscall.SIGTERM)
				if redisToo {
					lab.Eventually(t, patience, func() error { _, err := os.Stat(filepath.Join(at, "halted")); return err })
					k.Redis[0].Freeze()
				}
				if code, err := k.Agents[0].Wait(t.Context()); err != nil || code != 0 {
					t.Errorf("it left with %d: %v", code, err)
				}
				fig.within("left after", time.Since(told), 5*time.Second)
				if !redisToo && step != "parked" { // that one is at work
					ok(t, k.Redis[0].IsMaster(1))
					left(t, k.Redis[0], 0, 10)
					lab.Eventually(t, patience, func() error { return accepted(w, time.Second) })
					fig.within("write pause", pause(w), 2800*time.Millisecond) // not the 4 s for which the successor had paused it
				}
				k.Agents[1].Kill()
				k.Redis[0].Thaw()
				ok(t, errors.Join(k.Agent(0), k.Agent(1)))
				whole(t, k)
				v, _ := judged(t, k, w)
				for _, err := range []error{v.NothingLost(), v.NeverTwo(0), unfenced(k), k.Stop()} {
					if err != nil {
						t.Error(err)
					}
				}
			})
		}
	}
}
