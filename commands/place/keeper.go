// Package place follows where one member is: its Consul node, and the address at which the others reach its Redis.
//
// A Keeper owns the place as it was read last. Keeper.Run runs in a goroutine of its caller, and starts none.
package place

import (
	"context"
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
	"resec/handlers/redis"
)

// Keeper asks Consul's agent for its node once an interval. Its exported fields are set before Run, and not changed afterwards.
type Keeper struct {
	Client   *api.Client
	Me       cluster.Master // as it was when this process started
	Host     string         // that is configured as the announced one; empty: it is the node's address
	Port     int            // announced
	Interval time.Duration
	Creds    redis.Options       // of our Redis; Addr is filled in
	Own      func() redis.Health // of our Redis, as last seen
	Moved    func(cluster.Place) // is called by Run when the place has changed
	Log      *slog.Logger

	was    cluster.Place
	former string       // the address before the last move, while our Redis was not seen at the new one; otherwise empty
	unread logonce.Once // why the node could not be read
	kept   logonce.Once // the node's address at which our Redis does not answer
}

// Run follows until the context ends.
func (k *Keeper) Run(ctx context.Context) {
	k.was = cluster.Place{Node: k.Me.Node, Address: k.Me.Address}
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(k.Interval):
		}
		node, addr, err := catalog.Node(ctx, k.Client)
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			k.unread.Reset()
			k.follow(ctx, node, addr)
		} else if k.unread.Changed(lock.ErrorKind(err)) { // a watch logs the outage
			k.Log.Info("cannot read the node of the consul agent; this member stays announced where it was", "event",
				"node_not_read", "member", k.Me.ID, "addr", k.was.Address, "err", err)
		}
	}
}

// follow calls Moved if a node with that name and address means another place.
func (k *Keeper) follow(ctx context.Context, node, addr string) {
	now := cluster.Place{Node: node, Address: k.was.Address}
	if k.Host == "" && addr != "" {
		now.Address = net.JoinHostPort(addr, strconv.Itoa(k.Port))
	}
	nodes := now.Address
	now.Address = k.choose(ctx, nodes)
	if now.Address == nodes {
		k.kept.Reset()
	} else {
		if k.kept.Changed(nodes) {
			k.Log.Warn("the node has another address, at which redis cannot be reached; the old one is announced until it can",
				"event", "address_kept", "member", k.Me.ID, "addr", now.Address, "node_addr", nodes)
		}
		now.KeptHost, _, _ = net.SplitHostPort(now.Address)
	}
	if now == k.was {
		return
	}
	if now.Address != k.was.Address || now.Node != k.was.Node {
		k.Log.Warn("this member has moved; its new place is written to the catalogue and to the state", "event", "member_moved",
			"member", k.Me.ID, "addr", now.Address, "was", k.was.Address, "node", now.Node)
	}
	k.was = now
	k.Moved(now)
}

// choose returns the address that is announced while the node's is addr: that, the one of now, or the former one.
func (k *Keeper) choose(ctx context.Context, addr string) string {
	was := k.was.Address
	switch {
	case addr == was && k.returns(ctx):
		addr, k.former = k.former, ""
	case addr != was && (movesToLoopback(addr, was) || !k.mayMove(ctx, addr)):
		return was
	}
	return addr
}

// movesToLoopback reports whether an address is a loopback address and the old one is not: other hosts would not reach it.
func movesToLoopback(addr, old string) bool {
	loopback := func(addr string) bool {
		host, _, _ := net.SplitHostPort(addr)
		ip := net.ParseIP(host)
		return ip != nil && ip.IsLoopback()
	}
	return loopback(addr) && !loopback(old)
}

// mayMove asks at the new address, and then at the old one, whether our Redis answers there. A Redis that is unhealthy answers
// nowhere, which says nothing of an address.
func (k *Keeper) mayMove(ctx context.Context, to string) bool {
	run, ok := k.ownRun()
	if !ok {
		return false
	}
	atNew, atOld, former := k.answerer(ctx, to, run), cluster.AnswererUnknown, ""
	if atNew == cluster.NobodyListens {
		atOld, former = k.answerer(ctx, k.was.Address, run), k.was.Address
	}
	if !cluster.FollowsNode(atNew, atOld) {
		return false
	}
	k.former = former
	return true
}

// returns reports whether our Redis still answers at the former address, and nobody listens at the announced one.
func (k *Keeper) returns(ctx context.Context) bool {
	run, ok := k.ownRun()
	if k.former == "" || !ok {
		return false
	}
	atNew := k.answerer(ctx, k.was.Address, run)
	if atNew == cluster.OurRedisAnswers {
		k.former = ""
	}
	return atNew == cluster.NobodyListens && cluster.ReturnsToFormer(atNew, k.answerer(ctx, k.former, run))
}

// ownRun returns the run of our Redis, or false if that is unhealthy.
func (k *Keeper) ownRun() (run string, ok bool) {
	own := k.Own()
	return own.Status.RunID, own.Err == nil && own.Status.RunID != ""
}

// answerer asks which Redis answers at an address.
func (k *Keeper) answerer(ctx context.Context, addr, run string) cluster.Answerer {
	st, err := handlers.Probe(ctx, k.Creds.At(addr))
	switch {
	case err == nil && st.RunID == run:
		return cluster.OurRedisAnswers
	case err == nil:
		return cluster.AnotherAnswers
	case redis.Refused(err):
		return cluster.NobodyListens
	}
	return cluster.AnswererUnknown
}
