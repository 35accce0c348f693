package stories_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"resec/scripts/lab"
)

// Two clusters use the same default lock key: it belongs to the first.
func TestLead10_TwoClustersOnTheDefaultLockKey(t *testing.T) {
	t.Parallel()
	for _, parked := range []bool{false, true} {
		for _, data := range []bool{false, true} {
			if !turn(bit(parked), bit(data)) {
				continue
			}
			t.Run("the second is"+named(!data, " empty")+named(data, " full")+named(parked, ", started parked"), func(t *testing.T) {
				t.Parallel()
				l := lab.ForTest(t)
				c, err := l.StartConsul("own", nil)
				ok(t, err)
				first, err := l.NewPlanned(lab.Plan{Name: "first", Members: 2, Consul: c, StartParked: parked})
				ok(t, err)
				second, err := l.NewPlanned(lab.Plan{Name: "second", Members: 2, Consul: c, StartParked: parked})
				ok(t, err)
				first.Env = append(first.Env, "CONSUL_LOCK_KEY=resec/.lock")          // the default, which the lab looks at
				second.Env = append(second.Env, "CONSUL_LOCK_KEY=", "LOG_LEVEL=WARN") // an empty variable is none
				for i := range first.Redis {
					ok(t, first.Agent(i))
				}
				whole(t, first)
				if data {
					for _, r := range second.Redis {
						had(t, r, keys{prefix: "theirs", n: 100})
					}
				}
				m, err := first.Master()
				ok(t, err)
				lab.Eventually(t, patience, func() error { return guarded(first, m, 1) }) // then nothing changes by itself
				state := value(t, c, "resec/.lock/state")
				var before []string
				for _, r := range second.Redis {
					before = append(before, touched(t, r))
				}
				for i := range second.Redis {
					refused(t, second, i)
				}
				for i, r := range second.Redis {
					if after := touched(t, r); after != before[i] {
						t.Errorf("%s was touched: %s, was %s", r.Name, after, before[i])
					}
				}
				if after := value(t, c, "resec/.lock/state"); after != state {
					t.Errorf("the state was touched: %s, was %s", after, state)
				}
				for _, service := range []string{"second-master", "second-slave"} {
					if e, err := c.Entries(service, ""); err != nil || len(e) > 0 {
						t.Errorf("%d %s are registered: %v", len(e), service, err)
					}
				}
				ok(t, first.Settled(patience))
				ok(t, first.Stop())
			})
		}
	}
}

// refused starts the agent, which says why it cannot be in a line, and ends.
func refused(t *testing.T, k *lab.Cluster, i int) {
	t.Helper()
	ok(t, k.Agent(i))
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	code, err := k.Agents[i].Wait(ctx)
	var lines []string
	for _, line := range nonEmpty(k.Agents[i].Output()) {
		if !strings.Contains(line, "CONSUL_LOCK_TTL is below 10s") { // a warning that the lab's timings earn
			lines = append(lines, line)
		}
	}
	if err != nil || code != 1 || len(lines) != 1 || !strings.Contains(lines[0], "two clusters need two CONSUL_LOCK_KEYs") {
		t.Errorf("exit %d %v, and %d lines:\n%s", code, err, len(lines), strings.Join(lines, "\n"))
	}
}

func value(t *testing.T, c *lab.Consul, key string) string {
	t.Helper()
	pair, _, err := c.Client.KV().Get(key, nil)
	ok(t, err)
	if pair == nil {
		t.Fatalf("there is no %s", key)
	}
	return string(pair.Value)
}

// touched is what a command that changes a server would change: its role, and the number of such commands.
func touched(t *testing.T, r *lab.Redis) string {
	t.Helper()
	all := do(t, r, "INFO", "everything")
	var out []string
	for line := range strings.Lines(all) {
		for _, field := range []string{"role:", "master_host:", "run_id:", "db0:", "cmdstat_replicaof", "cmdstat_slaveof", "cmdstat_config|set", "cmdstat_client|pause", "cmdstat_client|kill"} {
			if strings.HasPrefix(line, field) {
				out = append(out, strings.TrimSpace(line))
			}
		}
	}
	return strings.Join(out, " ")
}

// An unrelated empty Redis is registered as the cluster's master.
func TestLead10_StrangersEntry(t *testing.T) {
	t.Parallel()
	for i, meta := range []struct {
		name string
		meta map[string]string
	}{
		{"without meta", nil},
		{"with an id and a term", map[string]string{"id": "stranger", "term": "999", "version": "7.0.15"}},
		{"with a member's id and a term", map[string]string{"id": "m1", "term": "999", "version": "7.0.15"}},
	} {
		for j, v := range []struct {
			name string
			then func(*testing.T, *lab.Cluster, int)
		}{
			{"as it is", func(*testing.T, *lab.Cluster, int) {}},
			{"when a follower comes", func(t *testing.T, k *lab.Cluster, m int) {
				one := (m + 1) % 3
				k.Agents[one].Kill()
				ok(t, k.Agent(one))
			}},
			{"when the master is killed", func(t *testing.T, k *lab.Cluster, m int) { k.Redis[m].Kill() }},
			{"with resec follow", followAlone},
		} {
			if (i+j)%2 == 1 && !*all {
				continue
			}
			t.Run(meta.name+", "+v.name, func(t *testing.T) {
				t.Parallel()
				k := cluster(t, 3)
				m := started(t, k)
				stored := wrote(t, k, m, keys{prefix: "stored", n: 1000})
				keep(t, stored.n, k.Redis...)
				stranger, err := k.StartRedis("stranger")
				ok(t, err)
				register(t, k, k.Name+"-master", stranger, meta.meta)
				was := touched(t, stranger)
				ignored := func() error { return stranger.Is("role", "master", "connected_slaves", "0") }
				v.then(t, k, m)
				throughout(t, 5*time.Second, ignored)
				for _, r := range k.Redis {
					if r.Running() {
						ok(t, stored.on(r))
					}
				}
				lab.Eventually(t, patience, func() error { _, err := k.Linked(); return err })
				if now := touched(t, stranger); now != was || stranger.Said("asks for synchronization") == nil {
					t.Errorf("the unrelated redis was changed: %s, was %s\n%s", now, was, stranger.Output())
				}
				ok(t, k.Stop())
			})
		}
	}
}

// followAlone runs `resec follow` instead of an agent for a replica.
func followAlone(t *testing.T, k *lab.Cluster, m int) {
	one := (m + 1) % 3
	k.Agents[one].Kill()
	k.Agents[one] = nil
	f, err := k.Resec("follow", one, "follow")
	ok(t, err)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("resec follow:\n%s", f.Output())
		}
	})
	throughout(t, 3*time.Second, func() error {
		return errors.Join(k.Redis[one].Is("role", "slave", "master_host", k.Redis[m].Host), f.Sane())
	})
}

// register registers a service, as any client of Consul may.
func register(t *testing.T, k *lab.Cluster, service string, r *lab.Redis, meta map[string]string) {
	t.Helper()
	body, err := json.Marshal(map[string]any{"ID": "stranger-" + k.Name, "Name": service, "Address": r.Host, "Port": 6379, "Meta": meta})
	ok(t, err)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, "http://"+k.Consul.HTTP()+"/v1/agent/service/register", bytes.NewReader(body))
	ok(t, err)
	resp, err := http.DefaultClient.Do(req)
	ok(t, err)
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Fatal(fmt.Errorf("register %s: %s", service, resp.Status))
	}
}
