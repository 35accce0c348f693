package takeover

import (
	"context"
	"time"

	"resec/commands/cluster"
	"resec/handlers/redis"
)

const (
	// selfRoundTimeout bounds the observation of our own Redis in one round.
	selfRoundTimeout = 200 * time.Millisecond
	// peersRoundTimeout bounds the observation of all other members in one round. A slow member that must be parked again may
	// need more. Then its evidence starts again, and the next round finds it parked, because its commands have been sent.
	peersRoundTimeout = 2 * peerTimeout
)

// Two observations of a member that answers fast must count as one, however slow another member is. Between them lie the rest
// of one round, the wait, a look at the old master, and the observation of our own Redis. The remaining 0.2 s are for one more
// look at our own Redis and for scheduling.
const _ = uint(cluster.MaxObservationGap - 200*time.Millisecond -
	(peersRoundTimeout + ProbeInterval + peerTimeout + selfRoundTimeout))

// refreshDetached parks the members within reach, ours first, and notes which of them are detached from the old master. It
// takes at most selfRoundTimeout + peersRoundTimeout.
func (p *run) refreshDetached(ctx context.Context, v cluster.View) {
	p.refreshSelf(ctx)
	ctx, cancel := context.WithTimeout(ctx, peersRoundTimeout)
	defer cancel()
	p.each(func(m *parkedPeer) { p.refreshPeer(ctx, v, m) })
}

// refreshSelf notes whether our Redis is detached, and parks it if it is not.
func (p *run) refreshSelf(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, selfRoundTimeout)
	defer cancel()
	p.observeSelf(ctx)
	st, err := p.Self.Redis.Status(ctx)
	if err != nil || st.Parked() || st.Master {
		return
	}
	if p.Self.Redis.Park(ctx) == nil {
		p.observeSelf(ctx)
	}
}

func (p *run) observeSelf(ctx context.Context) {
	st, err := p.Self.Redis.Status(ctx)
	p.Evidence.Detached.Observe(p.Self.Me.ID, st, err, time.Now())
}

// refreshPeer notes whether a member is detached, and parks it if it is not, or was restarted.
func (p *run) refreshPeer(ctx context.Context, v cluster.View, m *parkedPeer) {
	if m.err == nil {
		if st, err := m.server.Status(ctx); err == nil && st.Parked() && st.RunID == m.status.RunID {
			p.Evidence.Detached.Observe(m.ID, st, nil, time.Now())
			return
		}
	}
	m.close()
	if m.err = p.parkPeer(ctx, v, m); m.parkedJustNow { // it may have been attached in between, so its evidence starts again
		p.Evidence.Detached.Observe(m.ID, redis.Status{}, nil, time.Now())
	}
	p.Evidence.Detached.Observe(m.ID, m.status, m.err, time.Now())
}

// countDetached returns how many members, ours included, have been detached for at least that long.
func (p *run) countDetached(now time.Time, atLeast time.Duration) int {
	ids := []string{p.Self.Me.ID}
	for _, m := range p.parked {
		ids = append(ids, m.ID)
	}
	return p.Evidence.Detached.CountDetached(now, atLeast, ids...)
}
