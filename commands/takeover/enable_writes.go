package takeover

import (
	"context"
	"sync"

	"resec/commands/cluster"
	"resec/commands/failpoint"
	"resec/handlers/redis"
)

// enableWrites replaces the fence of our Redis by the guard. At the same time, because the guard waits for replicas, it makes
// the parked members and the old master follow our Redis. If this process is to end (ctx is over), it waits for that. It
// returns lock.ErrLease if the lease is over, or the error of our Redis.
func (p *run) enableWrites(ctx, committed context.Context, s cluster.State, guard cluster.MinReplicas) error {
	leaving := ctx.Err() != nil
	if leaving {
		ctx = committed
	}
	p.background.Go(func() { p.repoint(ctx, s) })
	if !leaving || !p.old.unreachable {
		p.background.Go(func() { p.old.demoteUntilDone(ctx, p.Session.Lease, s.Master.Address) })
	}
	if err := p.checkLease(); err != nil { // this process was stalled
		return err
	}
	if err := p.Self.Redis.SetGuard(committed, guard.Replicas, guard.MaxLag); err != nil {
		return err
	}
	p.Timeline.step(StepWritesEnabled)
	p.Log.Info("redis accepts writes", "event", "writes_enabled", "redis", p.Self.Redis.Addr(),
		"min_replicas", guard.Replicas, "max_lag", guard.MaxLag)
	if leaving {
		p.background.Wait()
	}
	return nil
}

// repoint makes the members that were parked here follow our Redis, in case their agents are not alive to do it.
func (p *run) repoint(ctx context.Context, s cluster.State) {
	// Read once, and only now: our Redis may have been restarted, empty, since it was promoted.
	own := sync.OnceValues(func() (redis.Status, error) { return p.Self.Redis.Status(ctx) })
	var reading sync.WaitGroup
	defer reading.Wait()
	reading.Go(func() { _, _ = own() })
	p.each(func(m *parkedPeer) {
		if m.err != nil {
			return
		}
		now, err := m.server.Status(ctx)
		us, ownErr := own()
		if ownErr != nil || err != nil || !mayRepoint(m.status, now, us, s, m.ID) || p.checkLease() != nil {
			return
		}
		if err := m.server.Follow(ctx, s.Master.Address); err != nil {
			p.Log.Debug("a parked member could not be pointed at our redis; its own agent will do so", "event", "repoint_failed",
				"member", m.ID, "addr", m.Address, "err", err)
		}
	})
	failpoint.Hit("repointed") // it runs at the same time as the recorded steps, so it is none of them
}
