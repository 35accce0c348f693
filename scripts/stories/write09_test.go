package stories_test

import (
	"fmt"
	"testing"
	"time"

	"resec/scripts/lab"
)

// The agents of all members but the master die at a step of their takeover. The next one heals what it finds.
func TestWrite09_KilledAtEachStepOfATakeOver(t *testing.T) {
	t.Parallel()
	killed := func(k *lab.Cluster) harm {
		k.Agents[0].Kill()
		return harm{}
	}
	lost := func(k *lab.Cluster) harm {
		from := time.Now()
		k.Redis[0].Kill()
		return harm{from: from, to: time.Now()}
	}
	frozen := func(k *lab.Cluster) harm {
		from := time.Now()
		for _, p := range k.Processes(0) {
			p.Freeze()
		}
		return harm{from: from, to: time.Now(), frozen: true}
	}
	for _, v := range []struct {
		why   string
		harm  func(*lab.Cluster) harm
		n     int
		heirs []heir
		steps []string
	}{
		{"the master's agent killed", killed, 3, []heir{byAnother, byItself}, []string{"elected", "peers_parked", "paused", "fenced",
			"drained", "parked", "checked", "promoted", "published", "writes_enabled", "repointed", "demoted", "registered"}},
		{"the master's agent killed", killed, 3, []heir{byFirst}, []string{"fenced", "checked", "promoted", "published"}},
		{"the master's agent killed", killed, 2, []heir{byItself, byFirst}, []string{"fenced", "promoted", "published"}},
		{"the master's redis killed", lost, 3, []heir{byAnother, byItself}, []string{"peers_parked", "promoted", "published", "writes_enabled"}},
		{"the master frozen with its agent", frozen, 3, []heir{byAnother, byItself, byThawed}, []string{"unreachable", "guard_closed"}},
	} {
		for i, step := range v.steps {
			for j, h := range v.heirs {
				if (i+j)%2 == 0 && !*all {
					continue
				}
				t.Run(fmt.Sprintf("%s, %s, %d members, %s", step, v.why, v.n, h), func(t *testing.T) {
					t.Parallel()
					c := crashes(t, lab.Plan{Members: v.n, StartParked: true, Env: []string{"GUARD_MAX_LAG=2s"}}, step, followers(v.n)...)
					harm := v.harm(c.k)
					switch fell := c.inherit(h); h {
					case byAnother:
						c.led(0, fell)
						if !harm.frozen {
							c.linked()
						}
					case byItself:
						c.led(0)
					case byFirst, byThawed:
						c.led()
					}
					c.thaw()
					c.healed(harm)
				})
			}
		}
	}
}
