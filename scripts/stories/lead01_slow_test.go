package stories_test

import (
	"testing"
	"time"

	"resec/scripts/lab"
)

// The fresher replica is stuck when the master dies: its agent lives, so the stale one waits for what is only slow.
func TestLead01_FresherOneIsSlow(t *testing.T) {
	t.Parallel()
	// Longer than a look at another's Redis may take; the last, than a whole takeover.
	for i, long := range []time.Duration{400 * time.Millisecond, 800 * time.Millisecond, 1500 * time.Millisecond} {
		for _, agentToo := range []bool{false, true} {
			if !turn(i, bit(!agentToo)) {
				continue
			}
			t.Run(long.String()+named(agentToo, ", the master's agent dies too"), func(t *testing.T) {
				t.Parallel()
				// Its own agent bears with it for two seconds.
				k := planned(t, lab.Plan{Members: 3, StartParked: true, Env: []string{"HEALTHCHECK_INTERVAL=4s", "HEALTHCHECK_TIMEOUT=2s"}, RedisArgs: []string{
					"--client-output-buffer-limit", "replica", "1mb", "1mb", "0", "--repl-backlog-size", "1mb", "--enable-debug-command", "yes"}})
				m := started(t, k)
				before := wrote(t, k, m, keys{prefix: "before", n: 300})
				fresh, stale := others(k, m)[0], others(k, m)[1]
				k.Redis[stale].Freeze()
				meanwhile := overflow(t, k.Redis[m])
				stuck, err := k.Redis[fresh].Stuck(long)
				ok(t, err)
				if agentToo {
					k.Agents[m].Kill()
				}
				k.Redis[m].Kill()
				k.Redis[stale].Thaw()
				ok(t, <-stuck)
				lab.Eventually(t, patience, func() error { return k.Redis[stale].Follows(k.Redis[fresh]) })
				ok(t, k.Redis[m].Start())
				if agentToo {
					ok(t, k.Agent(m))
				}
				whole(t, k, before, meanwhile)
				leads(t, k, fresh)
				ok(t, k.Stop())
			})
		}
	}
}
