// Package takeover makes one member's Redis the master while the member holds the lock: in one order, whatever the cause.
package takeover

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"resec/commands/cluster"
	"resec/commands/failpoint"
	"resec/commands/lock"
	"resec/handlers"
	"resec/handlers/redis"
)

// catchUpTimeout bounds how long the lock is kept for a sync with the old master, which goes on after it. ReachFor bounds the
// wait for the last bytes. pauseFor bounds how long the old master's clients wait if we die meanwhile: it is longer
// than ReachFor, so that a write that waits is answered by the successor's -READONLY and not let in before it.
const catchUpTimeout, clientPauseTimeout, DrainTimeout = 10 * time.Second, 4 * time.Second, 2 * time.Second

// ErrLost is returned when the lock was held and is no longer.
var ErrLost = errors.New("the lock is lost")

// ErrYielded is returned when the lock was passed to a member that has data which we lack.
var ErrYielded = errors.New("the lock was passed to a fresher member")

// Takeover is one member's way to be master, while it holds the lock.
type Takeover struct {
	Lock     lock.Lock
	Session  *lock.Session
	Me       cluster.Master // as published; the run id and the term are filled in
	Service  string
	Redis    *redis.Server
	Creds    redis.Options
	Log      *slog.Logger
	Timeline *Timeline // nil: none is kept

	// What an agent knows of the cluster; an election without one knows no members, and keeps no record.
	KeepMembers        bool
	Peers              []RecordedPeer                             // the recorded members but ourselves
	ConfirmEligible    func(context.Context, cluster.State) error // nil, where the record binds nobody at this moment
	Guard              cluster.GuardPolicy
	OperatorGuard      cluster.MinReplicas // the operator's guard on our Redis
	CatalogMaster      *cluster.Master     // whom the catalogue calls the master, where the state names none; nil: nobody
	UncountedReplicas  int                 // replicas of our Redis that no challenger counts
	Demotion           *CatalogDemotion    // nil: nobody is
	HandedOff          bool                // we had passed the lock to a successor that gave up, and may have left a pause
	StallAllowance     time.Duration       // added to what a silent master's guard takes
	Detached           *DetachTracker      // what is known already of who follows nobody; nil: nothing
	MasterCheckPassing bool                // the published master's check passed just now: clients are sent to its address, whoever is there
	UnresponsiveRun    string              // the run of a master that is known to be silent; empty: none
	WaitForSlowUntil   time.Time           // until when a member whose Redis is silent is waited for, if its agent lives: it may be the freshest
	ForcedFailover     *cluster.Request    // an operator wants it, whatever we hold; nil: the protocol decides
	Switchover         *cluster.Request    // an operator wants it, by the protocol
}

// RecordedPeer is a recorded member.
type RecordedPeer struct {
	ID, Address string
	Session     string // of its agent; empty: that is dead
}

// run is one take-over under way: what was done to others, to be undone or finished.
type run struct {
	Takeover
	began       time.Time // no earlier than it was elected
	parked      []*parkedPeer
	old         *oldMaster
	background  sync.WaitGroup      // what goes on once we are published
	eligibility cluster.Eligibility // Void: the record does not let us lead, so we were elected because it binds nobody, or keep none
}

// Run ends the published master's reign, promotes, publishes and lets writes in. It returns the view after publishing, and
// what waits until nothing is left to do for the others, or the context ends; that is to be called in any case. On an error
// the old master is as it was, or parked if nothing of it was missing here; ours refuses writes. Whoever has the lock next
// takes over from there.
func (t Takeover) Run(ctx context.Context, v cluster.View) (_ cluster.View, finish func(), err error) {
	if t.Detached == nil {
		t.Detached = NewDetachTracker()
	}
	p := &run{Takeover: t, began: time.Now(), old: &oldMaster{log: t.Log}}
	ctx, stop := context.WithCancel(ctx)
	// No command to another's Redis once the lease is over.
	leased, cancel := t.Session.Lease.Context(ctx)
	finish = func() {
		p.background.Wait()
		cancel() // only now: what ends it before is the reason
		stop()
		p.close()
	}
	p.background.Go(func() { t.Demotion.read(ctx) })
	own, err := t.Redis.Status(ctx)
	if err != nil {
		stop()
		return v, finish, err
	}
	if t.HandedOff {
		if err := t.Redis.Unpause(ctx); err != nil {
			t.Log.Debug("the pause of a successor could not be ended", "err", err)
		}
	}
	if m := v.State.Master; own.Master && !own.Fenced() && (m == nil && t.CatalogMaster == nil || m != nil && m.RunID == own.RunID) {
		// It is the master already, and only the lock or the state was lost: nothing moves.
		v, err = t.Publish(ctx, v, own, t.currentGuard(own))
		return v, finish, err
	}
	on, end := commitContext(leased)
	v, set, err := p.takeOver(leased, on, v, own)
	if err != nil {
		if stillHolder(leased) && !errors.Is(err, ErrLost) {
			p.old.rollback(context.WithoutCancel(ctx), t.Session.Lease.Left(time.Now()))
		}
		end()
		stop()
		return v, finish, err
	}
	err = p.enableWrites(ctx, on, v.State, set)
	end()
	if err != nil {
		stop()
	}
	return v, finish, err
}

// enableWrites lets writes in. At the same time, for the guard waits for them, the others are made to follow: by the time that this
// returns, if the process is to end.
func (p *run) enableWrites(ctx, on context.Context, s cluster.State, set cluster.MinReplicas) error {
	leaving := ctx.Err() != nil
	if leaving {
		ctx = on
	}
	p.background.Go(func() { p.repoint(ctx, s) })
	if !leaving || !p.old.unreachable {
		p.background.Go(func() { p.old.demoteUntilDone(ctx, p.Session.Lease, s.Master.Address) })
	}
	if err := p.checkLease(); err != nil { // this process hung
		return err
	}
	if err := p.Redis.SetGuard(on, set.Replicas, set.MaxLag); err != nil {
		return err
	}
	p.Timeline.step("lifted")
	p.Log.Info("redis accepts writes", "redis", p.Redis.Addr(), "min_replicas", set.Replicas, "max_lag", set.MaxLag)
	if leaving {
		p.background.Wait()
	}
	return nil
}

// takeOver is the one order, until we are published; from when the old master accepts no writes, it goes on for as long as the
// second context. It returns the guard that is to be set then.
func (p *run) takeOver(ctx, on context.Context, v cluster.View, own redis.Status) (_ cluster.View, set cluster.MinReplicas, err error) {
	bar := v.State.NotRecordedReason(p.Me.ID, own.RunID)
	if p.ForcedFailover == nil && (!p.KeepMembers || bar != "") {
		p.eligibility = cluster.AnyMember
	}
	if err := p.refuseIfServing(ctx, v, own); err != nil {
		return v, set, err
	}
	p.parkPeers(ctx, v)
	p.Timeline.step("sealed")
	if err := p.stopOldMaster(ctx, v, own); err != nil {
		return v, set, err
	}
	if m := v.State.Master; !p.old.parked && (m == nil || m.RunID != own.RunID) { // something else may come at the old one's address
		if err := p.parkSelf(ctx); err != nil {
			return v, set, err
		}
		if p.ForcedFailover == nil {
			if err := p.waitForSlowPeers(ctx, v); err != nil {
				return v, set, err
			}
		}
	}
	ctx = on
	if p.ForcedFailover == nil {
		if v, err = p.yieldOrCatchUp(ctx, v); err != nil {
			return v, set, err
		}
		if p.KeepMembers && bar != "" {
			if err := p.ConfirmEligible(ctx, v.State); err != nil {
				return v, set, fmt.Errorf("%s, and the record holds again: %w", bar, err)
			}
		}
	}
	p.Timeline.step("checked")
	st, err := p.Redis.Promote(ctx)
	if err != nil {
		return v, set, err
	}
	p.Timeline.step("promoted")
	published, set := p.initialGuard(v, st)
	if v, err = p.Publish(ctx, v, st, published); err == nil {
		p.Timeline.step("published")
	}
	return v, set, err
}

// checkLease says that the lease is over. It is asked right before each command to another's Redis: a process that was frozen goes
// on before its timers do.
func (t Takeover) checkLease() error {
	if t.Session.Lease.Left(time.Now()) == 0 {
		return lock.ErrLease
	}
	return nil
}

// repoint makes those that we parked follow us, in case their agents are not there to do it.
func (p *run) repoint(ctx context.Context, s cluster.State) {
	own := sync.OnceValues(func() (redis.Status, error) { return p.Redis.Status(ctx) }) // it may have been restarted since, empty
	var reading sync.WaitGroup
	defer reading.Wait()
	reading.Go(func() { _, _ = own() })
	p.each(func(m *parkedPeer) {
		if m.err != nil {
			return
		}
		st, err := m.server.Status(ctx)
		if us, e := own(); e != nil || !us.Master || us.RunID != s.Master.RunID || handlers.MayFollow(m.status, us, s.ForcedToFollow(m.ID)) != nil {
			return
		}
		if err == nil && st.Parked() && p.checkLease() == nil {
			err = m.server.Follow(ctx, s.Master.Address)
			p.Log.Debug("re-pointed", "member", m.ID, "err", err)
		}
	})
	failpoint.Hit("repointed") // beside what is measured
}

func (p *run) close() {
	for _, m := range p.parked {
		m.close()
	}
	p.old.close()
}
