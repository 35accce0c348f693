package stories_test

import (
	"context"
	"testing"

	"resec/scripts/lab"
)

// A replica was frozen until its master gave it up, and comes back at the moment when the master dies: it holds what its
// socket's buffers held, and answers as any other does.
func TestLead01_StaleReplicaThawed(t *testing.T) {
	t.Parallel()
	for _, parked := range []bool{false, true} {
		for i, v := range []struct {
			name                    string
			agentFrozen, agentDies  bool // the stale replica's; the master's
			masterBack, staleBefore bool // the master is restarted empty; the stale one's id comes before the fresher one's
		}{
			{name: "master killed"},
			{name: "its agent frozen too", agentFrozen: true},
			{name: "master killed with its agent", agentDies: true},
			{name: "master killed with its agent, the replica's frozen too", agentDies: true, agentFrozen: true},
			{name: "master restarted empty", masterBack: true},
			{name: "the stale one is the first by id", staleBefore: true},
		} {
			if parked == (i%2 == 0) && !*all {
				continue
			}
			t.Run(v.name+named(parked, ", started parked"), func(t *testing.T) {
				t.Parallel()
				args := []string{"--client-output-buffer-limit", "replica", "1mb", "1mb", "0", "--repl-backlog-size", "1mb"}
				if parked {
					args = append(args, bornParked...)
				}
				k := cluster(t, 3, args...)
				m := started(t, k)
				replicas := others(k, m)
				fresh, stale := replicas[0], replicas[1]
				if v.staleBefore {
					fresh, stale = stale, fresh
				}
				before := wrote(t, k, m, keys{prefix: "before", n: 1000})
				keep(t, 1000, k.Redis[fresh], k.Redis[stale])

				k.Redis[stale].Freeze()
				if v.agentFrozen {
					k.Agents[stale].Freeze()
				}
				meanwhile := overflow(t, k.Redis[m])
				w := lab.StartWriter(t.Context(), at(k.Redis[m]))
				lab.Eventually(t, patience, func() error { return w.Wrote(500) })
				k.Redis[m].Kill() // amid the writing
				k.Redis[stale].Thaw()
				k.Agents[stale].Thaw()
				if v.agentDies {
					k.Agents[m].Kill()
				}
				if v.masterBack {
					ok(t, k.Redis[m].Start())
				}
				w.Stop()
				lost, err := w.Lost(k.Redis[fresh].Addr)
				ok(t, err)

				lab.Eventually(t, patience, func() error { return k.Redis[stale].Follows(k.Redis[fresh]) })
				if v.agentDies {
					ok(t, k.Agent(m))
				}
				if !k.Redis[m].Running() {
					ok(t, k.Redis[m].Start())
				}
				whole(t, k, before, meanwhile)
				leads(t, k, fresh)
				for _, r := range k.Redis {
					if n, err := w.Lost(r.Addr); err != nil || n > lost {
						t.Errorf("%s misses %d acknowledged writes, and the fresher replica missed %d when the master died: %v", r.Name, n, lost, err)
					}
				}
				ok(t, k.Stop())
			})
		}
	}
}

// overflow writes to a master until it has dropped the one of its two replicas that is frozen, and the other has it all.
func overflow(t *testing.T, master *lab.Redis) keys {
	t.Helper()
	for n := 20; ; n += 20 {
		much := keys{prefix: "much", n: n, size: 100_000}
		ok(t, much.write(master))
		if master.Is("connected_slaves", "1") == nil {
			received(t, master, 1)
			ok(t, master.Said("for overcoming of output buffer limits"))
			return much
		}
		if n > 2000 {
			t.Fatal("200 MB are in the sockets' buffers, and the frozen replica is still linked")
		}
	}
}

// at finds a server where it is.
func at(r *lab.Redis) func(context.Context) (string, error) {
	return func(context.Context) (string, error) { return r.Addr, nil }
}

func named(is bool, name string) string {
	if is {
		return name
	}
	return ""
}
