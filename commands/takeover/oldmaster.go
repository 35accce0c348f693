package takeover

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"resec/commands/cluster"
	"resec/handlers"
	"resec/handlers/redis"
)

// oldMaster is an old master that no longer accepts writes; the zero value is one that is not there.
type oldMaster struct {
	server *redis.Server
	addr   string
	run    string
	log    *slog.Logger

	answered       bool // it has answered, and was master
	unreachable    bool // it has not, and is to be fenced and parked when it does
	deniesAccess   bool // who is there does not let us see who that is
	paused, fenced bool // by us
	parked         bool // by us, or it may be: that is not undone, for whoever has the lock next takes over from there
}

// KnownDeadTimeout is how long a master is waited for that is known not to answer, to its own agent or to the watch on it.
const KnownDeadTimeout = 50 * time.Millisecond

// anyInstance stands for the run of a master that is known by our link to it.
const anyInstance = "any"

// stopOldMaster ends the published master's reign: nil error means that it accepts no writes.
func (p *run) stopOldMaster(ctx context.Context, v cluster.View, own redis.Status) error {
	old := v.State.Master
	if old == nil && !own.Master && !own.Parked() { // Consul has lost its data, and our Redis knows its master still
		old = &cluster.Master{Peer: handlers.Peer{ID: own.MasterAddr, Address: own.MasterAddr, RunID: anyInstance}}
	}
	listed := old == nil && p.CatalogMaster != nil
	if listed {
		old = p.CatalogMaster
	}
	if old == nil || old.RunID == own.RunID {
		return nil
	}
	if old.RunID == "" { // `elect` with a handler whose Redis did not answer to it
		m := *old
		m.RunID = anyInstance
		old = &m
	}
	if err := p.awaitOldMaster(ctx, v, old, own, listed); err != nil {
		return fmt.Errorf("take over from %s at %s: %w", old.ID, old.Address, err)
	}
	return nil
}

// errUnrelated is returned for a master that the catalogue alone names, and whose data have another history than ours: the
// address may be another's by now, or the entry another cluster's.
var errUnrelated = errors.New("its history is not ours, and no state says that it is the cluster's master; `resec failover -to ID -force` overrides")

// awaitOldMaster asks the old master until it has answered, is known to be gone, or is proven to be closed. listed: nothing but the
// catalogue names it.
func (p *run) awaitOldMaster(ctx context.Context, v cluster.View, old *cluster.Master, own redis.Status, listed bool) (err error) {
	opt, bound := p.Creds, p.firstProbeTimeout(v, old)
	opt.Addr = old.Address
	opening, cancel := context.WithTimeout(ctx, bound) // a frozen one lets us connect, and does not greet us
	p.old.server, err = redis.Open(opening, opt)
	mute := opening.Err() // it was silent for all that time
	if cancel(); err != nil {
		return err
	}
	p.old.addr, p.old.run = old.Address, old.RunID
	var proof guardProof
	received := receivesFrom(own, old)
	for ; ; bound, mute = min(bound, peerTimeout), nil {
		st, err := redis.Status{}, mute
		if mute == nil {
			st, err = p.probeOld(ctx, bound)
		}
		switch {
		case ctx.Err() != nil: // silence is ours, then
			return context.Cause(ctx)
		case err == nil && st.RunID == own.RunID:
			return nil
		case err == nil && listed && st.Master && p.ForcedFailover == nil && !own.Position.IsAncestorOf(st.Position) && !st.Position.IsAncestorOf(own.Position):
			return errUnrelated
		case err == nil && (st.RunID == old.RunID || old.RunID == anyInstance) && st.Master:
			p.old.answered, p.old.run = true, st.RunID
			return p.drainAndPark(ctx, old, own, st)
		case err == nil && st.Master && p.MasterCheckPassing && !v.IsMembers(old.ID, st): // restarted, and nobody was there to park it
			return p.parkImpostor(ctx, old)
		case err == nil: // a replica, or another run: it may still be the freshest
			m := &parkedPeer{RecordedPeer: RecordedPeer{ID: old.ID, Address: old.Address, Session: v.LiveAgents[old.ID].Session}}
			m.err = p.parkPeer(ctx, v, m)
			p.parked = append(p.parked, m)
			return nil
		case redis.Refused(err):
			return p.verifyLinkDown(ctx, v, old)
		case !redis.Unreachable(err) && !p.treatAsUnreachable(v, old, received, err): // it lives, and would go on taking writes
			return err
		case p.Switchover != nil || v.State.Why == cluster.WhyLeaving && v.LiveAgents[old.ID].Session != "":
			return fmt.Errorf("it is out of reach from here, and its agent, which lives, has not given it up: %w", err)
		}
		p.old.deniesAccess = redis.AccessDenied(err)
		if closed, again := p.awaitGuardProof(ctx, v, old, &proof); again != nil {
			return again
		} else if closed {
			return nil
		}
		if own, err = p.Redis.Status(ctx); err != nil { // where it answers after all
			return err
		}
	}
}

// firstProbeTimeout is how long the old master is waited for at first.
func (p *run) firstProbeTimeout(v cluster.View, old *cluster.Master) time.Duration {
	switch {
	case v.State.MasterReportedGone(old.ID):
		return KnownDeadTimeout
	case p.UnresponsiveRun == old.RunID:
		return peerTimeout
	}
	return p.Creds.Timeout
}

// probeOld asks the old master.
func (p *run) probeOld(ctx context.Context, bound time.Duration) (redis.Status, error) {
	ctx, cancel := context.WithTimeout(ctx, bound)
	defer cancel()
	return p.old.server.Status(ctx)
}

// drainAndPark parks a master that answers, once nothing of it is missing here; an operator's force does not wait for what we were
// not receiving.
func (p *run) drainAndPark(ctx context.Context, old *cluster.Master, own, st redis.Status) (err error) {
	defer func() {
		if err != nil {
			p.parkIfMasterDown(ctx)
		}
	}()
	if p.ForcedFailover != nil && !(own.Streaming() && own.Position.ReplID == st.Position.ReplID) {
		p.Log.Warn("the old master is parked, by force: what it has is missing here", "master", old.ID, "addr", old.Address)
		if err := p.checkLease(); err != nil {
			return err
		}
		return p.old.server.Park(ctx)
	}
	if err := p.attachToOld(ctx, old, own, st); err != nil {
		return err
	}
	if err := p.drain(ctx, p.old); err != nil {
		return err
	}
	p.Log.Info("the old master is parked, and nothing of it is missing here", "master", old.ID, "addr", old.Address)
	return nil
}
