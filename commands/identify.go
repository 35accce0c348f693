package commands

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"time"

	"github.com/hashicorp/consul/api"

	"resec/commands/catalog"
	"resec/commands/cluster"
	"resec/commands/lock"
	"resec/commands/logonce"
	"resec/handlers"
)

// identifyPause is the pause between two questions to Consul's agent for its node.
const identifyPause = time.Second

// errNotIdentified says that the context ended before Consul's agent answered.
var errNotIdentified = errors.New("consul's agent has not named its node")

// identify returns this member as it is published. It asks Consul's agent for node name and address, and repeats the question
// until it is answered. It returns errNotIdentified with the context's cause if the context ends first, and an error if other
// hosts cannot reach the announced address.
func (c *config) identify(ctx context.Context, client *api.Client, log *slog.Logger) (cluster.Master, error) {
	if c.lockTTL > 0 && c.lockTTL < consulMinTTL {
		log.Warn("CONSUL_LOCK_TTL is below 10s; consul refuses the session unless its session_ttl_min allows it",
			"event", "lock_ttl_below_consul_minimum", "ttl", c.lockTTL)
	}
	for failure := (logonce.Once{}); ; {
		node, addr, err := catalog.Node(ctx, client)
		if err == nil {
			return c.member(node, addr), c.checkAnnounced(addr)
		}
		if ctx.Err() == nil && failure.Changed(lock.ErrorKind(err)) {
			log.Warn("cannot read the node name from the consul agent; retrying", "event", "consul_node_unknown",
				"err", withoutPage(err)+consulHint(err))
		}
		select {
		case <-ctx.Done():
			return cluster.Master{}, fmt.Errorf("%w: %w", errNotIdentified, context.Cause(ctx))
		case <-time.After(identifyPause):
		}
	}
}

// member is this member as it is published, on the given node.
func (c *config) member(node, nodeAddr string) cluster.Master {
	host := c.announceHost
	if host == "" {
		host = nodeAddr
	}
	m := cluster.Master{Node: node, ServiceID: c.naming.ServiceID(c.announceHost, c.announcePort)}
	m.Peer = handlers.Peer{ID: c.memberID, Address: net.JoinHostPort(host, strconv.Itoa(c.announcePort))}
	if m.ID == "" {
		m.ID = node + "/" + m.ServiceID
	}
	return m
}
