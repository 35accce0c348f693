package takeover

import (
	"context"
	"errors"
	"time"

	"resec/commands/cluster"
)

// errNetworkRejects is returned where our Redis says that the master lives at whose address nobody lets us in.
var errNetworkRejects = errors.New("it refuses us, and our redis is linked to it: the network rejects; `resec failover -to ID -force` overrides")

// linkDownTimeout is how long a link may outlive the listener of a Redis that ends: the kernel frees its memory before it closes its
// connections.
const linkDownTimeout = 500 * time.Millisecond

// verifyLinkDown makes sure that our Redis has lost its link to a master that refuses us: the link ends with the master. Where that
// master's own agent has found it dead nothing is left to be asked.
func (p *run) verifyLinkDown(ctx context.Context, v cluster.View, old *cluster.Master) error {
	if p.ForcedFailover != nil || v.State.MasterReportedGone(old.ID) {
		return nil
	}
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(linkDownTimeout); ; <-tick.C {
		own, err := p.Redis.Status(ctx)
		switch {
		case err != nil:
			return err
		case own.Master || own.MasterAddr != old.Address || !own.Streaming():
			return nil
		case time.Now().After(end):
			return errNetworkRejects
		}
	}
}

// parkImpostor parks who came up as a master at the published one's address, and is none of the cluster's: clients write to it. It is not
// made to follow us: its own agent does that, where it has one.
func (p *run) parkImpostor(ctx context.Context, old *cluster.Master) error {
	if err := p.checkLease(); err != nil {
		return err
	}
	err := p.old.server.Park(ctx)
	p.Log.Warn("a redis that nobody knows takes writes at the old master's address, where clients are sent: it is to be parked", "master", old.ID, "addr", old.Address, "err", err)
	return context.Cause(ctx) // nobody waits for it to be
}
