package takeover

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"resec/commands/cluster"
	"resec/commands/lock"
	"resec/handlers/redis"
)

// oldMaster is the master that is replaced, and what was done to it. The zero value says that there is none.
type oldMaster struct {
	server *redis.Server
	addr   string
	run    string
	log    *slog.Logger

	answered       bool      // it answered, and was a master
	unreachable    bool      // it did not answer: fence and park it when it does
	deniesAccess   bool      // it may be the old master or not: it denies access
	elsewhere      bool      // our own Redis, or another member's, answers at its address: nothing is sent there
	paused, fenced bool      // by us
	pauseEnds      time.Time // until when its park must begin, if it is paused and refuses a fence; zero: it has a fence
	parked         bool      // by us, perhaps. That is not undone: the next holder of the lock continues from there
}

func (s *oldMaster) close() {
	if s.server != nil {
		s.server.Close()
	}
}

// errUnrelated is returned for a master that only the catalogue names and whose data have another history than ours. Its
// address may belong to another cluster by now.
var errUnrelated = errors.New(
	"its history is not ours, and no state says that it is the cluster's master; `resec failover -to ID -force` overrides")

// stopOldMaster makes sure that the old master accepts no writes. It returns an error if that cannot be proven, or if this host
// was too exhausted at last to ask a member that it parked meanwhile.
func (p *run) stopOldMaster(ctx context.Context, v cluster.View, own redis.Status) error {
	old, listedOnly := oldMasterOf(v.State.Master, p.Evidence.CatalogMaster, own)
	if old == nil {
		return nil
	}
	facts := oldMasterFacts{view: v, old: old, me: p.Self.Me, listedOnly: listedOnly,
		received: receivesFrom(own, old, p.formerAddr), forced: p.Operator.forced(),
		unnamed:    p.Evidence.FollowsUnnamed && old.Address == own.MasterAddr,
		switchover: p.Operator.Switchover != nil, checkPassing: p.Evidence.MasterCheckPassing}
	if err := p.askAndStop(ctx, facts, own); err != nil {
		return fmt.Errorf("take over from %s at %s: %w", old.ID, old.Address, err)
	}
	return p.exhausted()
}

// askAndStop asks the old master until it has answered, is known to be down, or its guard is proven to refuse writes.
func (p *run) askAndStop(ctx context.Context, f oldMasterFacts, own redis.Status) error {
	st, err := p.openOldMaster(ctx, f)
	if p.old.server == nil {
		return err
	}
	var proof guardProof
	for {
		if ctx.Err() != nil { // then no answer says nothing about the old master
			return context.Cause(ctx)
		}
		if err == nil {
			err = f.checkAddress(own, st)
			p.old.elsewhere = err != nil
		}
		found := f.oldMasterVerdict(own, st, err)
		if found != oldIsUnreachable {
			return p.stopBy(ctx, found, f, own, st, err)
		}
		p.old.deniesAccess = redis.AccessDenied(err)
		if closed, err := p.awaitGuardProof(ctx, f.view, f.old, &proof); closed || err != nil {
			return err
		}
		if own, err = p.probeSelf(ctx, own); err != nil {
			return err
		}
		st, err = p.probeOldMaster(ctx)
	}
}

// openOldMaster connects to the old master and asks it, both within one bound. A frozen Redis accepts the connection and does
// not answer.
func (p *run) openOldMaster(ctx context.Context, f oldMasterFacts) (st redis.Status, err error) {
	ctx, cancel := context.WithTimeout(ctx, firstProbeTimeout(f.view.State, f.old, p.Evidence.UnresponsiveRun,
		p.Self.Creds.Timeout))
	defer cancel()
	if p.old.server, err = redis.Open(ctx, p.Self.Creds.At(f.old.Address)); err != nil {
		return st, err
	}
	p.old.addr, p.old.run = f.old.Address, f.old.RunID
	if ctx.Err() != nil {
		return st, ctx.Err()
	}
	return p.old.server.Status(ctx)
}

// probeSelf asks our own Redis again: its status is needed if the old master answers after all. If it is only slow, the last
// status counts. It returns an error if our Redis is down.
func (p *run) probeSelf(ctx context.Context, last redis.Status) (redis.Status, error) {
	bounded, cancel := context.WithTimeout(ctx, selfRoundTimeout)
	defer cancel()
	st, err := p.Self.Redis.Status(bounded)
	if err == nil {
		return st, nil
	}
	if bounded.Err() != nil && ctx.Err() == nil {
		return last, nil
	}
	return last, err
}

// probeOldMaster asks the old master again.
func (p *run) probeOldMaster(ctx context.Context) (redis.Status, error) {
	ctx, cancel := context.WithTimeout(ctx, min(p.Self.Creds.Timeout, peerTimeout))
	defer cancel()
	return p.old.server.Status(ctx)
}

// stopBy acts on a verdict. A nil error means that the old master accepts no writes.
func (p *run) stopBy(ctx context.Context, found verdict, f oldMasterFacts, own, st redis.Status, err error) error {
	switch found {
	case oldIsSelf:
		return nil
	case oldIsUnrelated:
		return errUnrelated
	case oldIsUnnamed:
		return errors.New(cluster.UnnamedReason(f.old.Address))
	case oldServes:
		p.old.answered, p.old.run = true, st.RunID
		return p.drainAndPark(ctx, f.old, own, st)
	case oldIsImpostor:
		return p.parkImpostor(ctx, f.old)
	case oldIsPeer:
		return p.parkOldAsPeer(ctx, f)
	case oldIsDown:
		return p.verifyLinkDown(ctx, f.view, f.old)
	case oldAgentIsAlive:
		return fmt.Errorf("it is unreachable from here, and its agent is alive and has not given it up: %w", err)
	}
	return err
}

// parkOldAsPeer parks an old master that is a replica by now, or another instance. One that becomes unreachable meanwhile is
// waited for as every other member is: see waitForSlowPeers and exhausted.
func (p *run) parkOldAsPeer(ctx context.Context, f oldMasterFacts) error {
	m := &parkedPeer{RecordedPeer: RecordedPeer{ID: f.old.ID, Address: f.old.Address,
		Session: f.view.LiveAgents[f.old.ID].Session}}
	m.err = p.parkPeer(ctx, f.view, m)
	p.parked = append(p.parked, m)
	if errors.Is(m.err, lock.ErrLease) {
		return m.err
	}
	p.logUnparked(m)
	return nil
}

// drainAndPark parks a master that answers, once our Redis has all its data. A forced failover does not wait for data that our
// Redis was not receiving.
func (p *run) drainAndPark(ctx context.Context, old *cluster.Master, own, st redis.Status) error {
	err := p.tryDrainAndPark(ctx, old, own, st)
	if err != nil {
		p.parkIfMasterDown(ctx)
	}
	return err
}

func (p *run) tryDrainAndPark(ctx context.Context, old *cluster.Master, own, st redis.Status) error {
	if p.Operator.forced() && !streamsHistoryOf(own, st) {
		p.Log.Warn("forced failover: parking the old master although our redis does not have all its data",
			"event", "old_master_parked_by_force",
			"master", old.ID, "addr", old.Address)
		if err := p.checkLease(); err != nil {
			return err
		}
		return p.parkOrFence(ctx, p.old)
	}
	if err := p.attachToOld(ctx, old, own, st); err != nil {
		return err
	}
	if err := p.drain(ctx, p.old); err != nil {
		return err
	}
	if p.old.parked {
		p.Log.Info("the old master is parked, and our redis has all its data",
			"event", "old_master_parked", "master", old.ID, "addr", old.Address)
	}
	return nil
}

// parkImpostor parks an unknown master at the old master's address, to which clients write. It is not made to follow our Redis:
// if it has an agent, that will do so. It does not wait for the park to succeed.
func (p *run) parkImpostor(ctx context.Context, old *cluster.Master) error {
	if err := p.checkLease(); err != nil {
		return err
	}
	if err := p.old.server.Park(ctx); err != nil {
		p.Log.Warn("an unknown redis accepts writes at the old master's address, to which clients are sent, and could not be parked",
			"event", "impostor_not_parked", "master", old.ID, "addr", old.Address, "err", err)
	} else {
		p.Log.Warn("an unknown redis accepted writes at the old master's address, to which clients are sent; it is parked",
			"event", "impostor_parked", "master", old.ID, "addr", old.Address)
	}
	return context.Cause(ctx)
}
