package takeover

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"resec/commands/cluster"
	"resec/handlers/redis"
)

// peerTimeout bounds one command to a member that is to be parked. One that is slower counts as out of reach.
const peerTimeout = 300 * time.Millisecond

// parkedPeer is a recorded member that we parked, so that it takes nothing more from anybody, and its position is final.
type parkedPeer struct {
	RecordedPeer
	server        *redis.Server
	status        redis.Status // once parked
	err           error        // it is not
	parkedJustNow bool         // it was not parked yet when it was looked at last
}

func (m *parkedPeer) close() {
	if m.server != nil {
		m.server.Close()
	}
}

// each does something with all of them, in parallel.
func (p *run) each(f func(*parkedPeer)) {
	var wg sync.WaitGroup
	for _, m := range p.parked {
		wg.Go(func() { f(m) })
	}
	wg.Wait()
}

// parkPeers parks every recorded member within reach but the published master.
func (p *run) parkPeers(ctx context.Context, v cluster.View) {
	for _, o := range p.Peers {
		if m := v.State.Master; m == nil || m.ID != o.ID { // the published master is dealt with apart
			p.parked = append(p.parked, &parkedPeer{RecordedPeer: o})
		}
	}
	p.each(func(m *parkedPeer) {
		if m.err = p.parkPeer(ctx, v, m); m.err != nil {
			p.Log.Debug("not sealed", "member", m.ID, "addr", m.Address, "err", m.err)
		}
	})
}

func (p *run) parkPeer(ctx context.Context, v cluster.View, m *parkedPeer) (err error) {
	opt := p.Creds
	opt.Addr, opt.Timeout = m.Address, peerTimeout
	if m.server, err = redis.Open(ctx, opt); err != nil {
		return err
	}
	m.parkedJustNow = false
	switch m.status, err = m.server.Status(ctx); {
	case err != nil:
		return err
	case !v.IsMembers(m.ID, m.status):
		return ErrOtherInstance
	case m.status.Parked():
		return nil
	}
	if err := p.checkLease(); err != nil {
		return err
	}
	m.parkedJustNow = true
	if err := m.server.Park(ctx); err != nil {
		return err
	}
	m.status, err = m.server.Status(ctx)
	return err
}

// yieldOrCatchUp makes sure that nothing that a sealed member has is missing here. Where it is, that member is passed the lock,
// or, with its agent dead, we catch up from it.
func (p *run) yieldOrCatchUp(ctx context.Context, v cluster.View) (cluster.View, error) {
	own, err := p.Redis.Status(ctx)
	if err != nil {
		return v, err
	}
	byID, others := map[string]*parkedPeer{}, []cluster.Candidate(nil)
	for _, m := range p.parked {
		if m.err == nil {
			byID[m.ID] = m
			others = append(others, cluster.Candidate{ID: m.ID, Status: m.status})
		}
	}
	found, more := cluster.Freshest(cluster.Candidate{ID: p.Me.ID, Status: own}, others, v.State, p.eligibility)
	best := byID[found.ID]
	switch {
	case !more:
		return v, nil
	case best.Session == "":
		return p.catchUp(ctx, v, best)
	}
	p.Log.Info("another is fresher: it is passed the lock", "member", best.ID, "offset", best.status.Position.Offset, "own_offset", own.Position.Offset)
	// Not cut short: that the lock is ours no longer is seen before Consul's answer comes.
	if v, err = p.Lock.Transfer(context.WithoutCancel(ctx), p.Session.ID, v, best.ID, v.State.AliasHistory(v.State.ResolvePosition(best.status))); err == nil {
		p.Timeline.step("yielded")
		err = fmt.Errorf("%w: %s", ErrYielded, best.ID)
	}
	return v, err
}

// waitForSlowPeers waits for members that were silent when they were to be parked, and whose agents live: they may only be slow, and hold what
// we lack. Where the old master has answered, or is our own, nobody does, and it is not to be called.
func (p *run) waitForSlowPeers(ctx context.Context, v cluster.View) error {
	for time.Now().Before(p.WaitForSlowUntil) {
		var slow atomic.Bool
		p.each(func(m *parkedPeer) {
			if !redis.Unreachable(m.err) || Down(m.err) || !v.MayHoldNewerData(m.ID) {
				return
			}
			slow.Store(true)
			m.close()
			m.err = p.parkPeer(ctx, v, m)
		})
		if !slow.Load() {
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(50 * time.Millisecond):
		}
	}
	return nil
}

// parkSelf parks our Redis, unless it is a master: who watches the old one leaves that to us meanwhile.
func (t Takeover) parkSelf(ctx context.Context) error {
	own, err := t.Redis.Status(ctx)
	if err != nil || own.Master || own.Parked() {
		return err
	}
	return t.Redis.Park(ctx)
}

// catchUp takes over what a parked member has whose agent is dead. A parked one serves no sync, so it is master for that
// time, fenced.
func (p *run) catchUp(ctx context.Context, v cluster.View, m *parkedPeer) (_ cluster.View, err error) {
	p.Timeline.step("catchup")
	p.Log.Info("another is fresher, and its agent is not there to lead: we catch up from it", "member", m.ID, "offset", m.status.Position.Offset)
	if err := p.parkSelf(ctx); err != nil {
		return v, err
	}
	outer, lent := ctx, false
	defer func() {
		if !lent || !stillHolder(outer) || p.checkLease() != nil { // it may follow another by now, or lead
			return
		}
		if err := m.server.Park(context.WithoutCancel(ctx)); err != nil {
			p.Log.Warn("the member that we caught up from stays master, fenced; its agent will park it", "member", m.ID, "err", err)
		}
	}()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	own, err := p.Redis.Status(ctx)
	if err != nil {
		return v, err
	}
	if v, err = p.Lock.Write(ctx, p.Session.ID, v, v.State.AliasRuns(m.status, own)); err != nil {
		return v, err
	}
	if err := p.checkLease(); err != nil {
		return v, err
	}
	lent = true
	st, err := m.server.Promote(ctx)
	if err != nil {
		return v, err
	}
	p.Timeline.step("lent")
	defer func() {
		if err != nil { // whatever comes at that address now is nothing to sync from
			err = errors.Join(err, p.parkIfFollowing(context.WithoutCancel(outer), m.Address))
		}
	}()
	if err := p.Redis.Follow(ctx, m.Address); err != nil {
		return v, err
	}
	last := time.Now() // when there was progress: a sync may take long, and nobody else can lead meanwhile
	if err := p.waitUntil(ctx, math.MaxInt64, 5*time.Millisecond, func(own redis.Status) (bool, error) {
		if own.Syncing || own.Loading {
			last = time.Now()
		} else if time.Since(last) > catchUpTimeout {
			cancel()
		}
		if !own.Streaming() {
			return false, verifySameRun(ctx, own, m.server, st.RunID)
		}
		if own.Position.ReplID != st.Position.ReplID { // our sync began a new one there
			if now, err := m.server.Status(ctx); err == nil && now.RunID == st.RunID && now.Position.ReplID == own.Position.ReplID {
				st = now
			}
		}
		return own.Position.ReplID == st.Position.ReplID && own.Position.Offset >= st.Position.Offset, nil
	}); err != nil {
		return v, fmt.Errorf("catch up from %s: %w", m.ID, err)
	}
	return p.Lock.Write(ctx, p.Session.ID, v, v.State.AliasHistory(v.State.ResolvePosition(st)))
}
