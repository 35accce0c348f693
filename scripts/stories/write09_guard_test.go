package stories_test

import (
	"fmt"
	"testing"

	"resec/scripts/lab"
)

// The master's agent dies between what it does to the guard in Consul and what it does on Redis. With a guard of two of
// three members there is still one to take over when the other is away.
func TestWrite09_KilledWhileTheGuardChanges(t *testing.T) {
	t.Parallel()
	for _, v := range []struct {
		step string
		away bool // the replica is away when the agent is armed, and comes then; else it goes
	}{
		{"guard-published", false},
		{"guard-set", true},
	} {
		for _, h := range []heir{byAnother, byItself} {
			t.Run(fmt.Sprintf("%s, %s", v.step, h), func(t *testing.T) {
				t.Parallel()
				c := crashes(t, lab.Plan{Members: 3, StartParked: true, Env: []string{
					"GUARD=2", "HEALTHCHECK_INTERVAL=4s", "CONSUL_LOCK_TTL=10s", // replacing the master's agent may take seconds
				}}, v.step)
				neverBelow(t, c.k)
				if v.away {
					c.k.Redis[2].Kill()
					lab.Eventually(t, patience, func() error { return guarded(c.k, 0, 1) })
				}
				c.relieve(0, c.dies())
				c.armed = []int{0}
				if v.away {
					ok(t, c.k.Redis[2].Restart())
				} else {
					c.k.Redis[2].Kill()
				}
				c.inherit(h)
				if h == byAnother {
					c.led(0)
					c.linked()
				}
				c.healed(harm{})
			})
		}
	}
}

// An agent dies right after it has noted what its operator had set on its Redis.
func TestWrite09_KilledWhenItHasJoined(t *testing.T) {
	t.Parallel()
	for i, name := range []string{"the first", "the second", "the third"} {
		t.Run("joined, "+name, func(t *testing.T) {
			t.Parallel()
			c := &crash{t: t, k: planned(t, lab.Plan{Members: 3, StartParked: true}), step: "joined", armed: []int{i}, since: map[int]start{}}
			for o := range i {
				ok(t, c.k.Agent(o))
				if o == 0 {
					published(t, c.k, 0)
				}
			}
			ok(t, c.k.Agent(i, c.dies()))
			c.fallen()
			c.revive()
			c.watch()
			c.healed(harm{})
		})
	}
}
