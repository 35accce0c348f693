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
// of one round, the wait, a probe of our own Redis, a probe of the old master, and the observation of our own Redis. That is
// MaxObservationGap exactly, so a machine that is late costs a round: the next one finds all members parked.
const _ = uint(cluster.MaxObservationGap -
	(peersRoundTimeout + ProbeInterval + selfRoundTimeout + peerTimeout + selfRoundTimeout))

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
	p.observe(ctx, p.Self.Me.ID, st, err)
}

// observe notes what a member answered. An answer that the bound of the round cut off says nothing: the earlier observations
// count until MaxObservationGap has passed.
func (p *run) observe(ctx context.Context, id string, st redis.Status, err error) {
	if err != nil && ctx.Err() != nil {
		return
	}
	p.Evidence.Detached.Observe(id, st, err, time.Now())
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
	p.observe(ctx, m.ID, m.status, m.err)
}

// countDetached returns how many members, ours included, have been detached for at least that long.
func (p *run) countDetached(now time.Time, atLeast time.Duration) int {
	ids := []string{p.Self.Me.ID}
	for _, m := range p.parked {
		ids = append(ids, m.ID)
	}
	return p.Evidence.Detached.CountDetached(now, atLeast, ids...)
}
