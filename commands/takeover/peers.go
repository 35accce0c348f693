package takeover

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"resec/commands/cluster"
	"resec/handlers/redis"
)

// parkedPeer is a recorded member that this takeover parks, so that it takes no more data and its position is final.
type parkedPeer struct {
	RecordedPeer
	server        *redis.Server
	status        redis.Status // once parked
	err           error        // it is not parked
	parkedJustNow bool         // the last call of parkPeer found it not parked
	streamErrors  bool         // it answered its master's stream with errors
}

func (m *parkedPeer) close() {
	if m.server != nil {
		m.server.Close()
	}
}

// each calls f for all parked members at once, and waits.
func (p *run) each(f func(*parkedPeer)) {
	var wg sync.WaitGroup
	for _, m := range p.parked {
		wg.Go(func() { f(m) })
	}
	wg.Wait()
}

// parkPeers parks every recorded member within reach. The published master is stopped later.
func (p *run) parkPeers(ctx context.Context, v cluster.View) {
	for _, o := range p.Peers.Recorded {
		if m := v.State.Master; m == nil || m.ID != o.ID {
			p.parked = append(p.parked, &parkedPeer{RecordedPeer: o})
		}
	}
	p.each(func(m *parkedPeer) {
		m.err = p.parkPeer(ctx, v, m)
		p.parkMoved(ctx, v, m)
		p.logUnparked(m)
	})
}

func (p *run) logUnparked(m *parkedPeer) {
	if m.err != nil {
		p.Log.Debug("a member could not be parked; continuing without it", "event", "member_not_parked",
			"member", m.ID, "addr", m.Address, "err", m.err)
	}
}

// exhausted returns an error if this host could not ask a member because it is exhausted: that member may have newer data. It is
// called after each round in which members are parked, because the error of the last attempt counts.
func (p *run) exhausted() error {
	for _, m := range p.parked {
		if redis.Exhausted(m.err) {
			return fmt.Errorf("park %s at %s: %w", m.ID, m.Address, m.err)
		}
	}
	return nil
}

// parkPeer connects to a member and parks it, unless it is parked. It returns the errors of checkMember if another Redis answers,
// lock.ErrLease if the lease is over, or the error of the member's Redis.
func (p *run) parkPeer(ctx context.Context, v cluster.View, m *parkedPeer) error {
	m.parkedJustNow = false
	if err := p.openPeer(ctx, m); err != nil {
		return err
	}
	if err := p.checkMember(v, m.ID, m.status); err != nil {
		return err
	}
	m.streamErrors = v.StreamErrors(m.ID, m.status) > 0
	if m.status.Parked() {
		return nil
	}
	if err := p.checkLease(); err != nil {
		return err
	}
	m.parkedJustNow = true
	if err := m.server.Park(ctx); err != nil {
		return err
	}
	var err error
	m.status, err = m.server.Status(ctx)
	return err
}

// checkMember returns the errors of cluster.View.CheckMemberForProof for what answered at a member's address.
func (p *run) checkMember(v cluster.View, id string, st redis.Status) error {
	return v.CheckMemberForProof(id, st, cluster.Instance{ID: p.Self.Me.ID, RunID: p.ownRun})
}

// candidate is a member with that status, as it is ranked for its data. Refused is left out, other than in a survey: a member
// that could be parked can be caught up from.
func (p *run) candidate(v cluster.View, id string, st redis.Status) cluster.Candidate {
	return cluster.Candidate{ID: id, AgentAlive: v.LiveAgents[id].Session != "", WrongAddress: v.WrongAddressReason(id) != "",
		Status: st, StreamErrors: v.StreamErrors(id, st), LostData: v.LostData(id, st)}
}

// openPeer connects to a member and asks it, both within peerTimeout.
func (p *run) openPeer(ctx context.Context, m *parkedPeer) (err error) {
	ctx, cancel := context.WithTimeout(ctx, peerTimeout)
	defer cancel()
	if m.server, err = redis.Open(ctx, p.Self.Creds.At(m.Address).WithTimeout(peerTimeout)); err != nil {
		return err
	}
	m.status, err = m.server.Status(ctx)
	return err
}

// freshestPeer returns the parked member that has data which our Redis does not have, and the most of it; nil: none has.
func (p *run) freshestPeer(v cluster.View, own redis.Status) *parkedPeer {
	byID, others := map[string]*parkedPeer{}, []cluster.Candidate(nil)
	for _, m := range p.parked {
		if m.err == nil && !p.givenUp(v, m, own) {
			byID[m.ID] = m
			others = append(others, p.candidate(v, m.ID, m.status))
		}
	}
	found, fresher := cluster.Freshest(p.candidate(v, p.Self.Me.ID, own), others, v.State, p.eligibility)
	if !fresher {
		return nil
	}
	return byID[found.ID]
}

// maxFailedSources is how often our Redis may fail to catch up from a member that may never be promoted.
const maxFailedSources = 2

// givenUp reports whether a member is not to be caught up from, and logs that if it has newer data. That is so in an election of
// members in sync, for a member that may never be promoted and cannot serve a sync to our Redis. It must not keep those that may
// lead from leading.
func (p *run) givenUp(v cluster.View, m *parkedPeer, own redis.Status) bool {
	if p.eligibility != cluster.RecordedOnly || m.status.Priority != 0 {
		return false
	}
	why := ""
	switch {
	case m.status.RefusesReplicas():
		why = "it would refuse our redis as a replica: " + m.status.Refusing()
	case redis.CannotLoad(own.Version, m.status.Version) && !own.CanResync(m.status):
		why = fmt.Sprintf("redis %s cannot read a full sync of redis %s", own.Version, m.status.Version)
	case p.Peers.FailedSources[m.status.RunID] >= maxFailedSources:
		why = "our redis could not get them"
	default:
		return false
	}
	if _, fresher := cluster.Freshest(p.candidate(v, p.Self.Me.ID, own), []cluster.Candidate{p.candidate(v, m.ID, m.status)},
		v.State, p.eligibility); fresher {
		p.Log.Warn("a member that may never be promoted has newer data; they are given up", "event", "newer_data_given_up",
			"member", m.ID, "offset", m.status.Position.Offset, "own_offset", own.Position.Offset, "why", why)
	}
	return true
}

// yieldOrCatchUp makes sure that our Redis has all data that a parked member has. Otherwise it transfers the lock to that
// member and returns ErrYielded or, if that member's agent is dead or the member cannot lead, catches up from it.
func (p *run) yieldOrCatchUp(ctx context.Context, v cluster.View) (cluster.View, error) {
	own, err := p.Self.Redis.Status(ctx)
	if err != nil {
		return v, err
	}
	best := p.freshestPeer(v, own)
	if best == nil {
		return v, nil
	}
	if best.Session == "" || best.status.Priority == 0 || v.LiveAgents[best.ID].Refused != "" {
		if v, err = p.catchUp(ctx, v, best); err != nil {
			err = &SourceError{RunID: best.status.RunID, Err: fmt.Errorf("%w; %s", err, cluster.LacksDataReason(p.Self.Me.ID, best.ID))}
		}
		return v, err
	}
	p.Log.Info("another member has newer data; transferring the lock to it", "event", "lock_yielded",
		"member", best.ID, "offset", best.status.Position.Offset, "own_offset", own.Position.Offset)
	state := v.State.AliasHistory(v.State.ResolvePosition(best.status))
	// Not cut short: the watch on the lock shows the loss before Consul's answer arrives.
	if v, err = p.Lock.Transfer(context.WithoutCancel(ctx), p.Session.ID, v, best.ID, state); err == nil {
		p.Timeline.step(StepLockTransferred)
		err = fmt.Errorf("%w: %s", ErrYielded, best.ID)
	}
	return v, err
}

// mayBeSlow reports whether a member that could not be parked is worth waiting for: it may only be slow, and may hold newer
// data.
func mayBeSlow(v cluster.View, m *parkedPeer) bool {
	return cluster.MayAnswerLater(m.err) && v.MayHoldNewerData(m.ID)
}

// waitForSlowPeers waits, until WaitForSlowUntil, for members that were unreachable when they were to be parked. It is not
// needed if the old master answered or is our own Redis: then no other member can hold newer data. It returns the error of
// exhausted if this host could not ask one of them at last.
func (p *run) waitForSlowPeers(ctx context.Context, v cluster.View) error {
	for time.Now().Before(p.Peers.WaitForSlowUntil) {
		var slow atomic.Bool
		p.each(func(m *parkedPeer) {
			if !mayBeSlow(v, m) {
				return
			}
			slow.Store(true)
			m.close()
			m.err = p.parkPeer(ctx, v, m)
		})
		if !slow.Load() {
			return p.exhausted()
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(50 * time.Millisecond):
		}
	}
	return p.exhausted()
}

// parkSelf parks our Redis, unless it is a master. During a takeover the watch on the old master does not do so.
func (t Takeover) parkSelf(ctx context.Context) error {
	own, err := t.Self.Redis.Status(ctx)
	if err != nil || own.Master || own.Parked() {
		return err
	}
	return t.Self.Redis.Park(ctx)
}
