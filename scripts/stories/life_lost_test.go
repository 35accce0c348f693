package stories_test

import (
	"os"
	"testing"

	"resec/scripts/lab"
)

// Consul loses all data while the master's agent is dead, in the first term. The next agent of the master publishes it anew in the
// same term, and remembers nothing. The replicas' agents, which remember more, believe it: the master takes writes again.
func TestLife03_AllDataLostWithoutTheMastersAgent(t *testing.T) {
	t.Parallel()
	k := planned(t, lab.Plan{Members: 3, StartParked: true, Servers: 1})
	for range 2000 { // so that the indexes of the Consul without data are lower for long
		ok(t, k.Noise("before"))
	}
	m := started(t, k)
	whole(t, k)
	stored := wrote(t, k, m, keys{prefix: "stored", n: 100})
	k.Consul.Kill()
	k.Agents[m].Kill()
	ok(t, os.RemoveAll(k.Consul.Dir))
	ok(t, os.MkdirAll(k.Consul.Dir, 0o755))
	ok(t, k.Consul.Restart())
	ok(t, k.Agent(m))
	for _, i := range others(k, m) {
		lab.Eventually(t, patience, func() error { return k.Agents[i].Said("event=consul_term_believed") })
	}
	whole(t, k, stored)
	leads(t, k, m)
	ok(t, k.Stop())
}
