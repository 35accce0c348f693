package agent

import (
	"context"
	"fmt"
	"net"
	"strconv"

	"github.com/hashicorp/consul/api"

	"resec/commands/catalog"
	"resec/commands/cluster"
	"resec/commands/member"
	"resec/commands/systemd"
	"resec/handlers"
)

// lockHeld is in the environment of promote and fence hooks, as in that of handlers under elect.
const lockHeld = "CONSUL_LOCK_HELD=true"

// notifyPromoted notifies hooks that our Redis has become the published master.
func (a *Agent) notifyPromoted(now, before cluster.View) {
	ev := handlers.Event{Type: handlers.TypePromote, Term: now.State.Term()}
	if m := before.State.Master; m != nil {
		ev.Previous = &m.Peer
	}
	a.hooks.Notify(handlers.TypePromote, ev, lockHeld)
}

// notifyFenced notifies hooks that our Redis was fenced, in its term as master.
func (a *Agent) notifyFenced(term uint64, reason string) {
	a.hooks.Notify(handlers.TypeFence, handlers.Event{Type: handlers.TypeFence, Term: term, Reason: reason}, lockHeld)
}

// notifyFollowing notifies hooks, once for each master and term, which master our Redis follows. The master's agent may have
// re-pointed it.
func (c *controller) notifyFollowing(k member.Snapshot) {
	m, follows := cluster.FollowedMaster(k.Snapshot, c.a.Me.ID)
	if !follows || m.Peer == c.lastMaster {
		return
	}
	c.lastMaster = m.Peer
	c.a.hooks.Notify(handlers.TypeReplicate, masterEntry(m, c.a.Registrar.Naming), fmt.Sprintf("CONSUL_INDEX=%d", k.View.Index))
}

// masterEntry is the published master as `consul watch -type=service` gives its service. The catalogue itself may show it a
// little later.
func masterEntry(m cluster.Master, n catalog.Naming) []*api.ServiceEntry {
	host, text, _ := net.SplitHostPort(m.Address)
	port, _ := strconv.Atoi(text)
	return []*api.ServiceEntry{{
		Node: &api.Node{Node: m.Node, Address: host},
		Service: &api.AgentService{ID: m.ServiceID, Service: n.Name(catalog.Master), Tags: n.Tags(catalog.Master), Address: host,
			Port: port, Meta: catalog.Meta(m.ID, m.Term, "")},
		Checks: api.HealthChecks{},
	}}
}

// notifySystemd notifies systemd that the agent is ready, what the catalogue shows of it, and that it stops.
// Source: https://www.freedesktop.org/software/systemd/man/latest/sd_notify.html
func (a *Agent) notifySystemd(ctx context.Context, ended <-chan struct{}) {
	if a.NotifySocket == "" {
		return
	}
	var known systemd.Status
	stopping := ctx.Done()
	for over := false; ; {
		k, changed := a.known.Watch()
		e, shown := a.advertised.Watch()
		ready := k.Registered && k.Probed && k.Health.Err == nil
		lines := known.Next(ready, over || ctx.Err() != nil, e.Output)
		if known.Stopping() {
			stopping = nil
		}
		if err := systemd.Notify(a.NotifySocket, lines); err != nil {
			a.Log.Warn("cannot notify systemd; it does not see this change", "event", "systemd_notify_failed", "err", err)
		}
		if over {
			return
		}
		select {
		case <-stopping:
		case <-changed:
		case <-shown:
		case <-ended:
			over = true
		}
	}
}
