package stories_test

import (
	"strings"
	"testing"
	"time"

	"resec/scripts/lab"
)

// From Redis Sentinel, with clients that nobody touches: on one host after the other its agent takes the place of its Sentinel, at
// the same address and with the same name of the master. The master does not move, no write is lost, no replica needs a full sync,
// and the client finds the new master after a crash.
func TestMigrate03_ClientsKeepTheirSentinels(t *testing.T) {
	t.Parallel()
	for i, program := range lab.SentinelClients {
		if i%3 != 0 && !*all {
			continue
		}
		t.Run(program, func(t *testing.T) {
			t.Parallel()
			k := planned(t, lab.Plan{Members: 3, Sourced: true})
			sentinels, err := k.Sentinels(5 * time.Second)
			ok(t, err)
			lab.Eventually(t, patience, func() error { return k.Redis[0].IsMaster(2) })
			synced, err := k.Redis[0].Info("sync_full")
			ok(t, err)
			var addrs []string
			for _, s := range sentinels {
				addrs = append(addrs, s.Addr)
			}
			client, err := k.StartClient(t.Context(), program, "bench", addrs...)
			ok(t, err)
			defer client.Stop()
			writes := func() {
				t.Helper()
				more := client.Acked() + 50
				lab.Eventually(t, patience, func() error { return client.Wrote(more) })
			}
			writes()
			for _, s := range sentinels {
				tool(t, "/", "redis-cli", "-h", strings.TrimSuffix(s.Addr, ":26379"), "-p", "26379", "SENTINEL", "SET", "bench",
					"down-after-milliseconds", "86400000")
			}
			for i, s := range sentinels { // the master's first
				s.Kill()
				ok(t, k.Agent(i, "SENTINEL_ADDR="+s.Addr, "SENTINEL_MASTER=bench"))
				if i == 0 {
					published(t, k, 0)
				}
				writes()
			}
			whole(t, k)
			leads(t, k, 0)
			writes()
			if lost, err := client.LostOn(k.Redis[0]); err != nil || len(lost) > 0 {
				t.Errorf("%d of %d writes are lost: %v", len(lost), client.Acked(), err)
			}
			ok(t, k.Redis[0].Is("sync_full", synced))
			k.Redis[0].Kill()
			succeededBy(t, k, 0)
			writes()
			ok(t, k.Redis[0].Restart())
			whole(t, k)
			for kind := range client.Errors() {
				if strings.HasPrefix(kind, "ended: ") {
					t.Errorf("the client has %s", kind)
				}
			}
			ok(t, k.Stop())
		})
	}
}
