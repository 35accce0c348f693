package agent

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"resec/commands/cluster"
	"resec/commands/expect"
	"resec/commands/report"
	"resec/handlers"
	"resec/handlers/redis"
	"resec/scripts/lab"
)

// report is what the agent says of itself.
func (m *groupMember) report() report.Report { return m.Report(context.Background(), true) }

// said returns nil once the agent has logged the event.
func (m *groupMember) said(event string) error {
	if !strings.Contains(strings.ReplaceAll(m.log.String(), "\n", " "), "event="+event+" ") {
		return fmt.Errorf("%s did not log %s", m.id, event)
	}
	return nil
}

// eventually waits until the condition holds.
func (g *group) eventually(look func() error) {
	g.t.Helper()
	lab.Eventually(g.t, expect.Patience, look)
}

// saying waits until the agent has logged the event.
func (m *groupMember) saying(event string) {
	m.g.t.Helper()
	m.g.eventually(func() error { return m.said(event) })
}

// view is the lock.
func (g *group) view() cluster.View {
	g.t.Helper()
	v, err := g.lock.Read(g.t.Context())
	expect.OK(g.t, err)
	return v
}

// settled waits until one member is the master, and every other one whose agent and Redis run is its replica, recorded in sync,
// and the guard is set. It returns the master, and a replica.
func (g *group) settled() (master, replica *groupMember) {
	g.t.Helper()
	g.eventually(func() (err error) {
		master, replica, err = g.look()
		return err
	})
	return master, replica
}

func (g *group) look() (master, replica *groupMember, err error) {
	for _, m := range g.members {
		if m.Agent == nil || !m.redis.Running() {
			continue
		}
		switch r := m.report(); {
		case r.Published && r.Holds && r.Redis.Master && !r.Redis.Fenced() && r.Lacks == "" && master == nil:
			master = m
		case r.Why != "" || !r.Follows || !r.Redis.LinkUp || r.Lacks != "":
			return nil, nil, fmt.Errorf("%s: %+v", m.id, r)
		case r.Behind == nil:
			return nil, nil, fmt.Errorf("how far %s is behind is unknown", m.id)
		case m.known.Load().Health.Status.Syncing:
			return nil, nil, fmt.Errorf("the agent of %s has not seen the end of its sync", m.id)
		default:
			replica = m
		}
	}
	if master == nil {
		return nil, nil, errors.New("there is no master")
	}
	if guard := master.report().Redis.MinReplicas; replica != nil && guard != 1 && master.Guard.Replicas == cluster.GuardAuto {
		return nil, nil, fmt.Errorf("the guard of %s is %d", master.id, guard)
	}
	return master, replica, nil
}

// leavesNothing fails the test if something of the stopped member is left in Consul or on its Redis.
func (g *group) leavesNothing(m *groupMember) {
	g.t.Helper()
	s, _, err := g.consul.Client.Session().List(nil)
	expect.OK(g.t, err)
	sessions := 0
	for _, e := range s {
		if e.Name == g.name() {
			sessions++
		}
	}
	running := 0
	for _, m := range g.members {
		if m.Agent != nil {
			running++
		}
	}
	expect.Equal(g.t, "sessions", sessions, running)
	if _, _, err := g.consul.Client.Agent().Service(g.name()+"-"+m.id, nil); err == nil {
		g.t.Errorf("%s is still registered", m.id)
	}
	if _, has := g.view().LiveAgents[m.id]; has {
		g.t.Errorf("%s still has its key", m.id)
	}
	if !m.redis.Running() {
		return
	}
	st := m.status()
	expect.Equal(g.t, "guard of "+m.id, st.MinReplicas, 0)
	expect.Equal(g.t, "lag of "+m.id, st.MaxLag, 10)
}

// status is that of a member's Redis, whether its agent runs or not.
func (m *groupMember) status() redis.Status {
	m.g.t.Helper()
	st, err := handlers.Probe(context.Background(), redis.Options{Addr: m.redis.Addr, Timeout: 5 * time.Second})
	expect.OK(m.g.t, err)
	return st
}

// do runs a command on the member's Redis.
func (m *groupMember) do(args ...string) {
	m.g.t.Helper()
	_, err := m.redis.Do(args...)
	expect.OK(m.g.t, err)
}
