package stories_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"resec/scripts/lab"
)

// An operator moves the master from another datacenter.
func TestLife17_SwitchoverInAnotherDatacenter(t *testing.T) {
	t.Parallel()
	l := lab.ForTest(t)
	federated := func(dc string, more map[string]any) *lab.Consul {
		settings := map[string]any{"datacenter": dc, "retry_interval_wan": "500ms",
			"ports": map[string]int{"serf_wan": 8302, "grpc": -1, "grpc_tls": -1}}
		for name, value := range more {
			settings[name] = value
		}
		c, err := l.StartConsul(dc, settings)
		ok(t, err)
		return c
	}
	here := federated("dc1", nil)
	there := federated("dc2", map[string]any{"retry_join_wan": []string{here.Host}})
	k := planned(t, lab.Plan{Members: 2, StartParked: true, Consul: there})
	m := started(t, k)
	lab.Eventually(t, patience, func() error {
		all, err := here.Client.Catalog().Datacenters()
		if err == nil && !slices.Contains(all, "dc2") {
			err = fmt.Errorf("it knows %v", all)
		}
		return err
	})
	out, stderr, code, err := k.Run(m, "", "switchover", "-http-addr", here.HTTP(), "-datacenter", "dc2")
	if err != nil || code != 0 {
		t.Fatalf("resec switchover: exit %d, %v\n%s%s", code, err, out, stderr)
	}
	whole(t, k)
	leads(t, k, 1-m)
	ok(t, k.Stop())
}

// A Redis in protected mode refuses its agent, which connects from another address: the agent says why, and what ends it.
func TestLife17_ProtectedMode(t *testing.T) {
	t.Parallel()
	k := planned(t, lab.Plan{Members: 1, Network: true, Servers: 1})
	do(t, k.Redis[0], "CONFIG", "SET", "protected-mode", "yes")
	ok(t, k.Agent(0))
	lab.Eventually(t, patience, func() error {
		return k.Agents[0].Said("it is in protected mode and refuses connections from other hosts")
	})
	out, stderr, code, err := k.Run(0, "", "promote")
	if err != nil || code != 2 {
		err = errors.Join(err, fmt.Errorf("exit %d", code))
		t.Errorf("resec promote: %v\n%s%s", err, out, stderr)
	}
	ok(t, k.Stop())
}
