package commands_test

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"

	"resec/commands/expect"
	"resec/scripts/lab"
)

// register registers a master service without an agent.
func register(t *testing.T, k *lab.Cluster, r *lab.Redis, term, output string) {
	t.Helper()
	a := k.Consul.Client.Agent()
	expect.OK(t, a.ServiceRegister(&api.AgentServiceRegistration{ID: k.Name, Name: k.Name + "-master", Address: r.Host, Port: 6379,
		Meta: map[string]string{"id": r.Name, "term": term}, Check: &api.AgentServiceCheck{CheckID: k.Name, TTL: "1h",
			Status: "passing"}}))
	expect.OK(t, a.UpdateTTL(k.Name, output, "passing"))
	t.Cleanup(func() { _ = a.ServiceDeregister(k.Name) })
}

func TestFollow_Builtin(t *testing.T) {
	t.Parallel()
	k := cluster(t, 3)
	f, err := k.Resec("follow", 2, "follow")
	expect.OK(t, err)
	register(t, k, k.Redis[0], "1", "")
	lab.Eventually(t, 10*time.Second, func() error { return k.Redis[2].Follows(k.Redis[0]) })
	register(t, k, k.Redis[1], "2", "")
	lab.Eventually(t, 10*time.Second, func() error { return k.Redis[2].Follows(k.Redis[1]) })
	// Its Redis is restarted, and is a master.
	k.Redis[2].Kill()
	expect.OK(t, k.Redis[2].Restart())
	lab.Eventually(t, 10*time.Second, func() error { return k.Redis[2].Follows(k.Redis[1]) })
	// Without a master service nothing changes.
	expect.OK(t, k.Consul.Client.Agent().ServiceDeregister(k.Name))
	f.Signal(syscall.SIGTERM)
	exits(t, f, 0)
	expect.OK(t, k.Redis[2].Follows(k.Redis[1]))
}

func TestFollow_WhileTheLockIsOurs(t *testing.T) {
	t.Parallel()
	k := cluster(t, 2)
	e, err := k.Resec("elect", 0, "elect")
	expect.OK(t, err)
	lab.Eventually(t, 10*time.Second, func() error { return e.Said("promoted") })
	f, err := k.Resec("follow", 0, "follow")
	expect.OK(t, err)
	register(t, k, k.Redis[1], "99", "")
	other, err := k.Resec("other", 1, "follow", "echo $RESEC_MASTER >"+k.Dir+"/seen")
	expect.OK(t, err)
	lab.Eventually(t, 10*time.Second, func() error {
		seen, err := os.ReadFile(k.Dir + "/seen")
		if err == nil && string(seen) != k.Redis[0].Addr+"\n" {
			err = fmt.Errorf("RESEC_MASTER of the handler is %q", seen)
		}
		return err
	})
	expect.OK(t, k.Redis[0].Is("role", "master"))
	// The lock is released. An entry that the state does not name is not followed; that of the new master is.
	e.Signal(syscall.SIGTERM)
	exits(t, e, 0)
	lab.Eventually(t, 10*time.Second, func() error { return f.Said("the service names another master than the published one, m0") })
	expect.OK(t, k.Consul.Client.Agent().ServiceDeregister(k.Name))
	e2, err := k.Resec("elect1", 1, "elect")
	expect.OK(t, err)
	lab.Eventually(t, 10*time.Second, func() error { return k.Redis[0].Follows(k.Redis[1]) })
	for _, p := range []*lab.Process{f, other, e2} {
		p.Signal(syscall.SIGTERM)
		exits(t, p, 0)
	}
}

func TestFollow_ConsulAwayAndBack(t *testing.T) {
	t.Parallel()
	c, err := lab.ForTest(t).StartConsul("own", nil)
	expect.OK(t, err)
	k := clusterOn(t, c, 2)
	register(t, k, k.Redis[0], "1", "")
	f, err := k.Resec("follow", 1, "follow", "date >> calls")
	expect.OK(t, err)
	calls := func() int {
		data, _ := os.ReadFile(k.Dir + "/calls")
		return strings.Count(string(data), "\n")
	}
	lab.Eventually(t, 10*time.Second, func() error {
		if calls() == 0 {
			return errors.New("not called yet")
		}
		return nil
	})
	c.Kill()
	lab.Eventually(t, 10*time.Second, func() error { return f.Said("consul watch failed") })
	expect.OK(t, c.Start())
	expect.OK(t, c.Ready(t.Context()))
	lab.Eventually(t, 10*time.Second, func() error { return f.Said("consul watch recovered") })
	before := calls()
	register(t, k, k.Redis[0], "2", "")
	lab.Eventually(t, 10*time.Second, func() error {
		if calls() <= before {
			return errors.New("the change was not seen")
		}
		return nil
	})
	f.Signal(syscall.SIGTERM)
	exits(t, f, 0)
}
