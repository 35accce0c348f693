package agent

import (
	"fmt"
	"net"
	"strconv"

	"github.com/hashicorp/consul/api"

	"resec/commands/catalog"
	"resec/commands/cluster"
	"resec/commands/known"
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

// notifyFollowing notifies hooks, once for each master, address and term, which master our Redis follows. The master's agent may
// have re-pointed it.
func (c *controller) notifyFollowing(k known.Snapshot) {
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
