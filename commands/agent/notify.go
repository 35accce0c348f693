package agent

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/consul/api"

	"resec/commands/catalog"
	"resec/commands/cluster"
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
func (c *controller) notifyFollowing(k snapshot) {
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
		Service: &api.AgentService{ID: m.ServiceID, Service: n.Name(catalog.Master), Tags: n.Tags(catalog.Master), Address: host, Port: port,
			Meta: catalog.Meta(m.ID, m.Term, "")},
		Checks: api.HealthChecks{},
	}}
}

// notifyTimeout bounds one message: a service manager that hangs does not block the agent.
const notifyTimeout = 500 * time.Millisecond

// notifySystemd tells systemd that the agent is ready, what the catalogue shows of it, and that it stops.
// Source: https://www.freedesktop.org/software/systemd/man/latest/sd_notify.html
func (a *Agent) notifySystemd(ctx context.Context, ended <-chan struct{}) {
	if a.NotifySocket == "" {
		return
	}
	n := systemdNotifier{}
	stopping := ctx.Done()
	for over := false; ; {
		k, changed := a.known.Watch()
		e, shown := a.advertised.Watch()
		lines := n.next(k, e.Output, over || ctx.Err() != nil)
		if n.stopping {
			stopping = nil
		}
		if err := notify(a.NotifySocket, lines); err != nil {
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

// systemdNotifier is what systemd knows.
type systemdNotifier struct {
	status          string
	ready, stopping bool
}

// next is what systemd is to learn now.
func (n *systemdNotifier) next(k snapshot, output string, stopping bool) (lines []string) {
	if !n.ready && k.Registered && k.Probed && k.Health.Err == nil {
		n.ready = true
		lines = append(lines, "READY=1")
	}
	if stopping && !n.stopping {
		n.stopping = true
		lines = append(lines, "STOPPING=1")
	}
	if status := strings.ReplaceAll(output, "\n", " "); status != n.status {
		n.status = status
		lines = append(lines, "STATUS="+status)
	}
	return lines
}

// notify sends lines as one message.
func notify(socket string, lines []string) error {
	if len(lines) == 0 {
		return nil
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		return fmt.Errorf("open NOTIFY_SOCKET: %w", err)
	}
	defer conn.Close()
	if err := conn.SetWriteDeadline(time.Now().Add(notifyTimeout)); err != nil {
		return fmt.Errorf("write to NOTIFY_SOCKET: %w", err)
	}
	if _, err := conn.Write([]byte(strings.Join(lines, "\n"))); err != nil {
		return fmt.Errorf("write to NOTIFY_SOCKET: %w", err)
	}
	return nil
}
