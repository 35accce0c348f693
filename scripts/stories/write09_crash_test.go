package stories_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"resec/scripts/lab"
)

// crash is a watched cluster, led by its first member, in which agents die at a step as by `kill -9`.
type crash struct {
	t     *testing.T
	k     *lab.Cluster
	w     *lab.Watch
	step  string
	armed []int         // members whose agents die at it, the first time
	since map[int]start // of the agents that were started since
}

// start is what an agent finds of its predecessor.
type start struct {
	session string // of its member's key
	said    int    // bytes in the log
}

// crashes makes the cluster, with the agents of some armed, waits until it is whole, and starts to watch it.
func crashes(t *testing.T, p lab.Plan, step string, armed ...int) *crash {
	t.Helper()
	p.Env = append([]string{"HEALTHCHECK_TIMEOUT=900ms"}, p.Env...) // only the step kills an agent
	c := &crash{t: t, k: planned(t, p), step: step, armed: armed, since: map[int]start{}}
	for i := range c.k.Redis {
		if i == 1 {
			published(t, c.k, 0)
		}
		if slices.Contains(armed, i) {
			ok(t, c.k.Agent(i, c.dies()))
		} else {
			ok(t, c.k.Agent(i))
		}
	}
	whole(t, c.k)
	leads(t, c.k, 0)
	lab.Eventually(t, patience, func() error { return guarded(c.k, 0, guardOf(c.k)) })
	c.watch()
	return c
}

func (c *crash) watch() {
	c.t.Helper()
	w, err := c.k.Watch(c.t.Context())
	ok(c.t, err)
	c.t.Cleanup(w.Stop)
	c.w = w
}

// dies is what arms an agent.
func (c *crash) dies() string { return "RESEC_CRASH_AT=" + c.step }

// guardOf is what min-replicas-to-write of a cluster's master is to be, once it is whole.
func guardOf(k *lab.Cluster) int {
	for _, kv := range k.Plan.Env {
		if n := 0; strings.HasPrefix(kv, "GUARD=") {
			_, _ = fmt.Sscanf(kv, "GUARD=%d", &n)
			return n
		}
	}
	return max(1, len(k.Redis)/2)
}

// followers are the members of n but the first.
func followers(n int) (out []int) {
	for i := 1; i < n; i++ {
		out = append(out, i)
	}
	return out
}

// start starts the i-th agent, whose predecessor is dead.
func (c *crash) start(i int, env ...string) {
	c.t.Helper()
	var s start
	s.session, _ = c.session(i)
	if a := c.k.Agents[i]; a != nil {
		s.said = len(a.Output())
	}
	ok(c.t, c.k.Agent(i, env...))
	c.since[i] = s
}

// back waits until the i-th agent, which was started, has a session: its predecessor's or one of its own.
func (c *crash) back(i int) {
	c.t.Helper()
	lab.Eventually(c.t, patience, func() error {
		now, err := c.session(i)
		s := c.since[i]
		adopted := strings.Contains(c.k.Agents[i].Output()[s.said:], "adopted the predecessor's session")
		if err == nil && (now == "" || now == s.session && !adopted) {
			err = fmt.Errorf("the agent of m%d has no session yet", i)
		}
		return err
	})
}

// relieve kills the i-th agent and starts another with its own environment in its place.
func (c *crash) relieve(i int, env ...string) {
	c.t.Helper()
	c.k.Agents[i].Kill()
	c.start(i, env...)
	c.back(i)
}

// thaw resumes the frozen processes of the first member.
func (c *crash) thaw() {
	for _, p := range c.k.Processes(0) {
		p.Thaw()
	}
}

// session is that under which the i-th member is present; empty: its agent is dead.
func (c *crash) session(i int) (string, error) {
	pair, _, err := c.k.Consul.Client.KV().Get(fmt.Sprintf("%s/members/m%d", lockKey(c.k), i), nil)
	if err != nil || pair == nil {
		return "", err
	}
	return pair.Session, nil
}

// fallen waits until an armed agent, or one of those given, was killed at the step, and returns which.
func (c *crash) fallen(of ...int) (i int) {
	c.t.Helper()
	if len(of) == 0 {
		of = c.armed
	}
	lab.Eventually(c.t, patience, func() error {
		at := slices.IndexFunc(of, func(i int) bool { return !c.k.Agents[i].Running() })
		if at < 0 {
			return fmt.Errorf("no agent was killed at %q", c.step)
		}
		i = of[at]
		return nil
	})
	ok(c.t, c.k.Agents[i].Said("crashing at "+c.step))
	return i
}

// heir names the agent that continues after an agent was killed.
type heir string

const (
	byAnother heir = "another goes on"
	byItself  heir = "it comes back"
	byFirst   heir = "so are all others, and the old master's comes back"
	byThawed  heir = "the old master goes on"
)

// inherit waits until an armed agent was killed at the step, and lets the heir continue. Nobody is armed any more. It returns who
// fell.
func (c *crash) inherit(h heir) (fell int) {
	c.t.Helper()
	fell = c.fallen()
	if h == byItself {
		c.start(fell)
	}
	for _, i := range c.armed {
		switch {
		case i == fell:
		case h == byFirst:
			c.fallen(i)
		default:
			c.relieve(i)
		}
	}
	switch h {
	case byFirst:
		c.start(0)
	case byThawed:
		c.thaw()
	}
	return fell
}
