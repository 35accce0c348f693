package stories_test

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"resec/scripts/lab"
)

// The master's agent is stopped and dies at a step of its handover, or its successor dies at a step of its takeover.
func TestWrite09_KilledAtEachStepOfAHandover(t *testing.T) {
	t.Parallel()
	for i, step := range []string{"leaving", "passed", "handed", "restored"} {
		for j, h := range []heir{byAnother, byItself} {
			if !turn(i, j) {
				continue
			}
			t.Run(fmt.Sprintf("%s, in the leaving agent, %s", step, h), func(t *testing.T) {
				t.Parallel()
				c := crashes(t, lab.Plan{Members: 3, StartParked: true}, step, 0)
				c.k.Agents[0].Signal(syscall.SIGTERM)
				c.inherit(h)
				if h == byAnother {
					c.led(0)
					c.linked()
				}
				c.healed(harm{})
			})
		}
	}
	for _, h := range []heir{byAnother, byItself} {
		t.Run(fmt.Sprintf("released, in the leaving agent without a successor, %s", h), func(t *testing.T) {
			t.Parallel()
			c := crashes(t, lab.Plan{Members: 2, StartParked: true}, "released", 0)
			c.k.Agents[1].Kill()
			lab.Eventually(t, patience, func() error {
				s, err := c.session(1)
				if err == nil && s != "" {
					err = fmt.Errorf("m1 is thought to live still, under session %s", s)
				}
				return err
			})
			c.k.Agents[0].Signal(syscall.SIGTERM)
			c.inherit(h)
			if h == byAnother {
				c.start(1)
				c.led(0)
				c.linked()
			}
			c.healed(harm{})
		})
	}
	for _, v := range []struct {
		n     int
		heir  heir
		steps []string
	}{
		{3, byAnother, []string{"elected", "peers_parked", "paused", "fenced", "drained", "parked", "checked", "promoted", "published", "writes_enabled"}},
		{2, byItself, []string{"elected", "fenced", "promoted", "published"}},
	} {
		for _, step := range v.steps {
			t.Run(fmt.Sprintf("%s, of the successor, %d members, %s", step, v.n, v.heir), func(t *testing.T) {
				t.Parallel()
				c := crashes(t, lab.Plan{Members: v.n, StartParked: true}, step, followers(v.n)...)
				left := make(chan error, 1)
				go func() {
					code, err := c.k.Agents[0].Stop(syscall.SIGTERM)
					if err == nil && code != 0 {
						err = fmt.Errorf("it left with %d", code)
					}
					left <- err
				}()
				fell := c.inherit(v.heir)
				ok(t, <-left)
				if v.heir == byAnother {
					c.led(0, fell)
				} else {
					c.led(0)
				}
				c.linked()
				c.healed(harm{})
			})
		}
	}
}

// The master's Redis freezes, and its agent dies at a step of saying so: the others must not rely on it.
func TestWrite09_KilledWhileItGivesUpAFrozenRedis(t *testing.T) {
	t.Parallel()
	for _, step := range []string{"frozen", "blind"} {
		for _, h := range []heir{byAnother, byItself} {
			t.Run(fmt.Sprintf("%s, %s", step, h), func(t *testing.T) {
				t.Parallel()
				c := crashes(t, lab.Plan{Members: 3, StartParked: true, Env: []string{"GUARD_MAX_LAG=2s"}}, step, 0)
				from := time.Now()
				c.k.Redis[0].Freeze()
				harm := harm{from: from, to: time.Now(), frozen: true}
				c.inherit(h)
				c.led(0)
				c.k.Redis[0].Thaw()
				c.linked()
				c.healed(harm)
			})
		}
	}
}
