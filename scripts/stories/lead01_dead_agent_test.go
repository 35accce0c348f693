package stories_test

import (
	"errors"
	"net"
	"testing"

	"resec/scripts/lab"
)

// The agent of the fresher replica is dead and cannot promote it: the stale replica catches up from it before it leads.
func TestLead01_FresherOnesAgentIsDead(t *testing.T) {
	t.Parallel()
	for _, parked := range []bool{false, true} {
		t.Run("the agent killed"+named(parked, ", started parked"), func(t *testing.T) {
			t.Parallel()
			args := []string{"--client-output-buffer-limit", "replica", "1mb", "1mb", "0", "--repl-backlog-size", "1mb"}
			if parked {
				args = append(args, bornParked...)
			}
			k := cluster(t, 3, args...)
			m := started(t, k)
			fresh, stale := others(k, m)[0], others(k, m)[1]
			before := wrote(t, k, m, keys{prefix: "before", n: 1000})
			keep(t, 1000, k.Redis[fresh], k.Redis[stale])
			k.Redis[stale].Freeze()
			k.Agents[stale].Freeze()
			meanwhile := overflow(t, k.Redis[m])
			kill(k.Agents[fresh], k.Redis[m].Process)
			k.Redis[stale].Thaw()
			k.Agents[stale].Thaw()
			lab.Eventually(t, patience, func() error { return k.Redis[fresh].Follows(k.Redis[stale]) })
			leads(t, k, stale)
			ok(t, k.Agents[stale].Said("we catch up from it"))
			ok(t, k.Agent(fresh))
			ok(t, k.Redis[m].Start())
			whole(t, k, before, meanwhile)
			leads(t, k, stale)
			ok(t, k.Stop())
		})
	}
}

// And it is restarted without its data while the stale one waits for them: that keeps what it has.
func TestLead01_FresherOneLosesItsDataWhileItIsCaughtUpWith(t *testing.T) {
	t.Parallel()
	k := cluster(t, 3, "--client-output-buffer-limit", "replica", "1mb", "1mb", "0", "--repl-backlog-size", "1mb", "--repl-diskless-sync-delay", "2")
	m := started(t, k)
	fresh, stale := others(k, m)[0], others(k, m)[1]
	before := wrote(t, k, m, keys{prefix: "before", n: 1000})
	keep(t, 1000, k.Redis[fresh], k.Redis[stale])
	k.Redis[stale].Freeze()
	k.Agents[stale].Freeze()
	overflow(t, k.Redis[m])
	kill(k.Agents[fresh], k.Redis[m].Process)
	k.Redis[stale].Thaw()
	k.Agents[stale].Thaw()
	lender, _, err := net.SplitHostPort(k.Redis[fresh].Addr)
	ok(t, err)
	lab.Eventually(t, patience, func() error {
		return errors.Join(k.Redis[fresh].Is("role", "master"), k.Redis[stale].Is("master_link_status", "down", "master_host", lender))
	})
	ok(t, k.Agents[stale].Said("we catch up from it"))
	ok(t, k.Redis[fresh].RestartEmpty())
	lab.Eventually(t, patience, func() error { return k.Redis[stale].Is("role", "master") })
	keep(t, 1000, k.Redis[stale])
	ok(t, k.Agent(fresh))
	ok(t, k.Redis[m].Start())
	whole(t, k, before)
	leads(t, k, stale)
	ok(t, k.Stop())
}
