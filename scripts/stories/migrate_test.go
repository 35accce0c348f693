package stories_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"resec/scripts/lab"
)

// From Redis Sentinel, as in the README: Sentinel's failovers are disabled, the agents are started, the master's first.
// Nothing moves, a client that asks Sentinel for the master until all agents are there, and Consul from then on, loses
// nothing, and no replica needs a full sync.
func TestMigrate01_FromSentinel(t *testing.T) {
	t.Parallel()
	k := planned(t, lab.Plan{Members: 3, Sourced: true})
	sentinels, err := k.Sentinels(5 * time.Second)
	ok(t, err)
	stored := keys{prefix: "stored", n: 1000}
	lab.Eventually(t, patience, func() error { return k.Redis[0].IsMaster(2) })
	ok(t, stored.write(k.Redis[0]))
	synced, err := k.Redis[0].Info("sync_full")
	ok(t, err)
	var asksConsul atomic.Bool
	client := lab.StartWriter(t.Context(), func(ctx context.Context) (string, error) {
		if asksConsul.Load() {
			return k.Find(ctx)
		}
		return sentinels[0].Master(ctx)
	})
	defer client.Stop()
	lab.Eventually(t, patience, func() error { return client.Wrote(100) })
	sentinel := func(args ...string) {
		for _, s := range sentinels {
			tool(t, "/", append([]string{"redis-cli", "-h", strings.TrimSuffix(s.Addr, ":26379"), "-p", "26379", "SENTINEL"}, args...)...)
		}
	}
	sentinel("SET", "bench", "down-after-milliseconds", "86400000")
	for i := range k.Redis { // the master's first
		ok(t, k.Agent(i))
		if i == 0 {
			published(t, k, 0)
		}
	}
	whole(t, k, stored)
	leads(t, k, 0)
	if at, err := sentinels[0].Master(t.Context()); err != nil || at != k.Redis[0].Addr {
		t.Errorf("Sentinel names %s: %v", at, err)
	}
	asksConsul.Store(true)
	sentinel("REMOVE", "bench")
	for _, s := range sentinels {
		s.Kill()
	}
	n := client.Acked()
	lab.Eventually(t, patience, func() error { return client.Wrote(n + 100) })
	client.Stop()
	lost, err := client.LostOn(k.Redis[0])
	if err != nil || len(lost) > 0 || len(client.Errors()) > 0 {
		t.Errorf("%d of %d writes are lost: %v %v", len(lost), client.Acked(), err, client.Errors())
	}
	ok(t, k.Redis[0].Is("sync_full", synced))
	k.Redis[0].Kill()
	next := succeededBy(t, k, 0)
	ok(t, stored.on(k.Redis[next]))
	ok(t, k.Redis[0].Restart())
	whole(t, k, stored)
	ok(t, k.Stop())
}

// From the program that was called resec before, as the README says it: the agents of the replicas are replaced first, the
// master's last. Until its new agent runs nothing names the master, and the others leave it alone. The old program itself is not
// available any more: its lock and its service entries are.
func TestMigrate02_FromTheOldResec(t *testing.T) {
	t.Parallel()
	k := planned(t, lab.Plan{Members: 3})
	host, port, err := net.SplitHostPort(k.Redis[0].Addr)
	ok(t, err)
	old, err := k.NewOlder(0, "master")
	ok(t, err)
	olders := []*lab.Older{old}
	for _, i := range []int{1, 2} {
		do(t, k.Redis[i], "REPLICAOF", host, port)
		old, err := k.NewOlder(i, "slave")
		ok(t, err)
		olders = append(olders, old)
	}
	lab.Eventually(t, patience, func() error { return k.Redis[0].IsMaster(2) })
	stored := keys{prefix: "stored", n: 1000}
	ok(t, stored.write(k.Redis[0]))
	client := k.Writing(0).Start(t.Context())
	defer client.Stop()
	lab.Eventually(t, patience, func() error { return client.Wrote(100) })

	for _, i := range []int{1, 2} {
		ok(t, olders[i].Leave())
		ok(t, k.Agent(i))
		lab.Eventually(t, patience, func() error { // waits for the lock holder
			return errors.Join(k.Redis[i].Follows(k.Redis[0]), k.Agents[i].Said("has not published itself"))
		})
	}
	leads(t, k, 0)
	ok(t, olders[0].Leave())
	lab.Eventually(t, patience, func() error {
		const words = "which answers and is no member"
		if first := k.Agents[1].Said(words); first != nil && k.Agents[2].Said(words) != nil {
			return first
		}
		return nil
	})
	leads(t, k, 0)
	ok(t, k.Agent(0))
	whole(t, k, stored)
	n := client.Acked()
	lab.Eventually(t, patience, func() error { return client.Wrote(n + 100) })
	client.Stop()
	m, err := k.Master()
	ok(t, err)
	if lost, err := client.LostOn(k.Redis[m]); err != nil || len(lost) > 0 {
		t.Errorf("%s leads; %d of %d writes are lost: %v", k.Redis[m].Name, len(lost), client.Acked(), err)
	}
	t.Logf("the longest outage was %s", client.LongestGap())
	ok(t, k.Stop())
}
