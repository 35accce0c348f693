package takeover

import (
	"context"
	"errors"
	"time"

	"resec/commands/cluster"
)

// errNetworkRejects is returned if the old master refuses our connections and our Redis still streams from it.
var errNetworkRejects = errors.New(
	"it refuses connections from this host but still streams to our redis: likely a firewall that rejects, " +
		"not a crash; `resec failover -to ID -force` overrides")

// linkDownTimeout bounds how long a link may outlive the listener of a Redis that ends: the kernel frees its memory before it
// closes its connections.
const linkDownTimeout = 500 * time.Millisecond

// verifyLinkDown returns nil once our Redis has lost its link to a master that refuses connections: a link ends with its
// master. If the master's own agent has reported it dead, it asks nothing. It returns errNetworkRejects if the link is still up
// after linkDownTimeout.
func (p *run) verifyLinkDown(ctx context.Context, v cluster.View, old *cluster.Master) error {
	if p.Operator.forced() || v.State.MasterReportedGone(old.ID) {
		return nil
	}
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(linkDownTimeout); ; <-tick.C {
		own, err := p.Self.Redis.Status(ctx)
		if err != nil || linkEnded(own, old.Address, p.formerAddr) {
			return err
		}
		if time.Now().After(end) {
			return errNetworkRejects
		}
	}
}
