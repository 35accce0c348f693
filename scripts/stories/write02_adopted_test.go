package stories_test

import (
	"fmt"
	"testing"
	"time"

	"resec/scripts/lab"
)

// An agent that adopted its predecessor's session is stopped while Consul is down: it exits.
func TestWrite02_AdoptedAgentLeavesWithoutConsul(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1, 2} {
		t.Run(fmt.Sprintf("n=%d", n), func(t *testing.T) {
			t.Parallel()
			k := planned(t, lab.Plan{Members: n, StartParked: true, Servers: 1})
			m := started(t, k)
			k.Agents[m].Kill()
			ok(t, k.Agent(m))
			lab.Eventually(t, patience, func() error { return k.Agents[m].Said("adopted the predecessor's session") })
			whole(t, k)
			k.Consul.Kill()
			told := time.Now()
			terminate(t, map[*lab.Process]time.Duration{k.Agents[m]: 0})
			figures(t).within("left after", time.Since(told), 4500*time.Millisecond)
			ok(t, k.Consul.Restart())
			ok(t, k.Agent(m))
			whole(t, k)
			ok(t, k.Stop())
		})
	}
}
