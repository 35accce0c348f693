package stories_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"resec/scripts/lab"
)

// `redis-cli --replica` listens to the master's stream for a moment, again and again. No write is refused, the guard stays as it
// is, and the agent says so once.
func TestLife23_ClientReplicates(t *testing.T) {
	t.Parallel()
	k := planned(t, lab.Plan{Members: 2, StartParked: true})
	m := started(t, k)
	lab.Eventually(t, patience, func() error { return guarded(k, m, 1) })
	client := k.Writing(time.Millisecond).Start(t.Context())
	defer client.Stop()
	lab.Eventually(t, patience, func() error { return client.Wrote(100) })
	for i := range 3 {
		p, err := k.Lab.Start(fmt.Sprint("redis-cli", i), nil, "redis-cli", "-h", k.Redis[m].Host, "-p", "6379", "--replica")
		ok(t, err)
		lab.Eventually(t, patience, func() error {
			info, err := k.Redis[m].Do("INFO", "replication")
			if err == nil && !strings.Contains(info, "port=0,state=online") {
				err = fmt.Errorf("it does not replicate yet: %s", info)
			}
			return err
		})
		throughout(t, 1200*time.Millisecond, func() error { return guarded(k, m, 1) })
		p.Kill()
		throughout(t, 300*time.Millisecond, func() error { return guarded(k, m, 1) })
	}
	client.Stop()
	if errs := client.Errors(); len(errs) > 0 {
		t.Errorf("writes were refused: %v", errs)
	}
	if n := strings.Count(k.Agents[m].Output(), "event=client_replicates"); n != 1 {
		t.Errorf("it was logged %d times:\n%s", n, k.Agents[m].Output())
	}
	ok(t, k.Stop())
}

// The master's host is cut off while clients listen to the master's stream on it, one after the other. Redis counts them as
// replicas, so its guard stays open: its agent fences it before another member leads.
func TestLife23_ClientsReplicateOnACutOffHost(t *testing.T) {
	t.Parallel()
	k := planned(t, lab.Plan{Members: 3, StartParked: true, Network: true, Servers: 1,
		RedisArgs: []string{"--repl-diskless-sync-delay", "0"}})
	m := started(t, k)
	lab.Eventually(t, patience, func() error { return guarded(k, m, 1) })
	w := watched(t, k)
	const loop = "while :; do timeout 2 redis-cli -h %s -p 6379 --replica >/dev/null 2>&1; done"
	for i := range 2 {
		p, err := k.Script(fmt.Sprint("clients", i), m, fmt.Sprintf(loop, k.Redis[m].Host))
		ok(t, err)
		defer p.Kill()
		throughout(t, time.Second, func() error { return guarded(k, m, 1) })
	}
	ok(t, k.Net.Isolate(k.Hosts[m], lab.Drop))
	succeeded(t, k, w, m)
	throughout(t, 10*time.Second, neverTwo(w))
	ok(t, k.Agents[m].Said("event=guard_held_open"))
	ok(t, k.Heal(k.Hosts[m]))
	v, now := judged(t, k, w)
	if now == m {
		t.Errorf("%s leads again", k.Redis[m].Name)
	}
	ok(t, v.NeverTwo(0))
	ok(t, k.Stop())
}
