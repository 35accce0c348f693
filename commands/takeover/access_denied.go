package takeover

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"

	"resec/commands/cluster"
	"resec/handlers"
	"resec/handlers/redis"
)

// treatAsUnreachable tells whether who does not let us see who he is may be treated as silent: his guard, if it is the old master, closes it all
// the same. While we receive its stream it is the old master.
func (p *run) treatAsUnreachable(v cluster.View, old *cluster.Master, received bool, err error) bool {
	return redis.AccessDenied(err) && (p.ForcedFailover != nil || v.State.MasterReportedGone(old.ID) || old.Guard != cluster.GuardOff && !received)
}

// receivesFrom tells whether a Redis receives the master's stream.
func receivesFrom(st redis.Status, m *cluster.Master) bool {
	return st.Streaming() && st.MasterAddr == m.Address
}

// refuseIfServing returns an error where the old master does not let us see it, and somebody receives its stream: it serves its clients, and
// nobody is to be parked for that. A Redis at its maxclients hangs up.
func (p *run) refuseIfServing(ctx context.Context, v cluster.View, own redis.Status) error {
	m := v.State.Master
	if m == nil || m.RunID == own.RunID || p.ForcedFailover != nil || v.State.MasterReportedGone(m.ID) || p.UnresponsiveRun == m.RunID {
		return nil
	}
	ask := func(addr string) (redis.Status, error) {
		ctx, cancel := context.WithTimeout(ctx, peerTimeout) // whoever is silent is dealt with later
		defer cancel()
		opt := p.Creds
		opt.Addr, opt.Timeout = addr, peerTimeout
		return handlers.Probe(ctx, opt)
	}
	_, err := ask(m.Address)
	if !redis.AccessDenied(err) && !errors.Is(err, io.EOF) {
		return nil
	}
	var received atomic.Bool
	received.Store(receivesFrom(own, m))
	var asking sync.WaitGroup
	for _, o := range p.Peers {
		if o.ID != m.ID {
			asking.Go(func() {
				if st, err := ask(o.Address); err == nil && v.IsMembers(o.ID, st) && receivesFrom(st, m) {
					received.Store(true)
				}
			})
		}
	}
	asking.Wait()
	if received.Load() {
		return fmt.Errorf("take over from %s at %s: it lives, and does not let us in: %w", m.ID, m.Address, err)
	}
	return nil
}
