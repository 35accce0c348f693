package takeover

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"resec/commands/cluster"
	"resec/handlers"
	"resec/handlers/redis"
)

// refuseIfServing returns an error if the old master denies access (password, ACL, TLS, maxclients) while a member of the cluster
// still streams from it. It is alive and serves clients then, so no member is parked. looked is the error of the last look at the
// old master. If it is unreachable that is handled later.
func (p *run) refuseIfServing(ctx context.Context, v cluster.View, own redis.Status, looked error) error {
	if !mayBeServing(v.State, own.RunID, p.Evidence.UnresponsiveRun, p.Operator.forced()) || !deniesAccess(looked) {
		return nil
	}
	m := v.State.Master
	var received atomic.Bool
	received.Store(receivesFrom(own, m, p.formerAddr))
	var asking sync.WaitGroup
	for _, o := range p.Peers.Recorded {
		if o.ID == m.ID {
			continue
		}
		asking.Go(func() {
			if st, err := p.look(ctx, o.Address); err == nil && v.IsMembers(o.ID, st) && receivesFrom(st, m, p.formerAddr) {
				received.Store(true)
			}
		})
	}
	asking.Wait()
	if received.Load() {
		return fmt.Errorf("take over from %s at %s: it denies access but a replica streams from it, so it is alive: %w", m.ID,
			m.Address, looked)
	}
	return nil
}

// look connects to another member's Redis and asks it once, within peerTimeout.
func (p *run) look(ctx context.Context, addr string) (redis.Status, error) {
	ctx, cancel := context.WithTimeout(ctx, peerTimeout)
	defer cancel()
	return handlers.Probe(ctx, p.Self.Creds.At(addr).WithTimeout(peerTimeout))
}
