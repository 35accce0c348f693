package commands_test

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	"resec/commands/expect"
	"resec/scripts/lab"
)

// shared is the Consul of the tests that do not stop or freeze it.
var shared struct {
	sync.Once
	*lab.Consul
	err error
}

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "resec-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	l := lab.New(dir)
	start = func() { shared.Consul, shared.err = l.StartConsul("consul", nil) }
	code := m.Run()
	l.Close()
	lab.Remove()
	_ = os.RemoveAll(dir)
	return code
}

// start starts the shared Consul.
var start func()

// consul is the shared Consul.
func consul(t *testing.T) *lab.Consul {
	t.Helper()
	shared.Do(start)
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	return shared.Consul
}

// cluster is n Redis servers on the shared Consul. Its names in Consul come from the name of the test.
func cluster(t *testing.T, n int, redisArgs ...string) *lab.Cluster {
	t.Helper()
	return clusterOn(t, consul(t), n, redisArgs...)
}

// clusterOn is cluster on another Consul.
func clusterOn(t *testing.T, c *lab.Consul, n int, redisArgs ...string) *lab.Cluster {
	t.Helper()
	name := strings.ToLower(strings.NewReplacer("/", "-", "_", "-").Replace(t.Name()))
	k, err := lab.ForTest(t).NewCluster(c, name, n, redisArgs...)
	expect.OK(t, err)
	t.Cleanup(func() {
		for _, a := range k.Agents {
			if t.Failed() && a != nil {
				t.Logf("%s:\n%s", a.Name, a.Output())
			}
		}
	})
	return k
}

// started starts the agents of a cluster, and waits until one Redis is master; m is its index.
func started(t *testing.T, k *lab.Cluster) (_ *lab.Cluster, m int) {
	t.Helper()
	expect.OK(t, k.Go())
	m, err := k.Master()
	expect.OK(t, err)
	return k, m
}
