package commands_test

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"

	"resec/commands/expect"
	"resec/scripts/lab"
)

// The policy in the README is enough. A missing permission is named in the log.
func TestAgent_UnderACLs(t *testing.T) {
	t.Parallel()
	c, err := lab.ForTest(t).StartConsul("own", lab.Deny)
	expect.OK(t, err)
	k := clusterOn(t, c, 2)
	policy := strings.NewReplacer(`"resec/`, `"`+k.Name+`/`, `"redis-`, `"`+k.Name+`-`).Replace(lab.Block(t, lab.SecurityPage, "hcl policy"))
	token := func(name, rules string) string {
		_, _, err := c.Client.ACL().PolicyCreate(&api.ACLPolicy{Name: name, Rules: rules}, nil)
		expect.OK(t, err)
		tok, _, err := c.Client.ACL().TokenCreate(&api.ACLToken{Policies: []*api.ACLTokenPolicyLink{{Name: name}}}, nil)
		expect.OK(t, err)
		return tok.SecretID
	}
	k.Env = append(k.Env, "CONSUL_HTTP_TOKEN="+token("whole", policy))
	expect.OK(t, k.Go())
	m, err := k.Master()
	expect.OK(t, err)
	k.Redis[m].Kill()
	expect.OK(t, k.Settled(10*time.Second))
	expect.OK(t, k.Redis[m].Restart())
	expect.OK(t, k.Settled(10*time.Second))
	out, stderr, code, err := k.Run(0, "", "status")
	if err != nil || code != 0 {
		t.Errorf("status: exit %d: %v\n%s%s", code, err, out, stderr)
	}
	expect.OK(t, k.Stop())

	k.Env[len(k.Env)-1] = "CONSUL_HTTP_TOKEN=" + token("no-key", strings.NewReplacer("key_prefix", "event_prefix", "key ",
		"event ").Replace(policy))
	p, err := k.Resec("denied", 0, "agent")
	expect.OK(t, err)
	lab.Eventually(t, 10*time.Second, func() error { return p.Said("lacks permission 'key:") })
	p.Signal(syscall.SIGTERM)
	exits(t, p, 0)
}

// A step that fails again and again is logged, once: here redis came up as a master, and resec's user may not park it. It is
// fenced instead.
func TestAgent_FailedStepIsLogged(t *testing.T) {
	t.Parallel()
	k := cluster(t, 2)
	expect.OK(t, k.Agent(0))
	lab.Eventually(t, 10*time.Second, func() error { return k.Agents[0].Said("event=promoted") })
	_, err := k.Redis[1].Do("ACL", "SETUSER", "default", "-replicaof", "-slaveof")
	expect.OK(t, err)
	expect.OK(t, k.Agent(1))
	lab.Eventually(t, 10*time.Second, func() error { return k.Agents[1].Said("event=park_own_failed") })
	if _, err := k.Redis[1].Do("SET", "key", "value"); err == nil || !strings.Contains(err.Error(), "NOREPLICAS") {
		t.Errorf("a write: %v, want NOREPLICAS", err)
	}
	lab.Eventually(t, 10*time.Second, func() error { return k.Agents[1].Said("event=redis_waits") })
	if n := strings.Count(k.Agents[1].Output(), "event=park_own_failed"); n != 1 {
		t.Errorf("it is logged %d times", n)
	}
}
