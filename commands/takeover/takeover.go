package takeover

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"resec/commands/cluster"
	"resec/commands/lock"
	"resec/handlers/redis"
)

const (
	// catchUpTimeout bounds the wait for progress of a sync. The lock is kept for that long; the sync may continue after it.
	catchUpTimeout = 10 * time.Second
	// DrainTimeout bounds the wait for the last bytes of the old master, while its writes are paused.
	DrainTimeout = 2 * time.Second
	// clientPauseTimeout bounds the pause of the old master's writes if this process dies. Clients whose writes wait should get
	// -READONLY from a parked master, and not be served by a master that is about to be replaced.
	clientPauseTimeout = 4 * time.Second
)

const _ = uint(clientPauseTimeout - DrainTimeout)

var (
	// ErrLost is returned if the lock was held and is lost.
	ErrLost = errors.New("the lock is lost")
	// ErrYielded is returned if the lock was transferred to a member with newer data.
	ErrYielded = errors.New("the lock was transferred to a member with newer data")
)

// run is one takeover that has started: what it did to other members, which must be undone or finished.
type run struct {
	Takeover
	began       time.Time // when this takeover started; our member was elected before
	parked      []*parkedPeer
	old         *oldMaster
	ownRun      string              // of our Redis when this takeover started
	background  sync.WaitGroup      // what continues after Run has returned
	eligibility cluster.Eligibility // AnyMember: our Redis is not recorded as in sync, or no members are known
	listed      listed
	formerAddr  string // at which the old master was published, if it has another one by now; otherwise empty
}

// Done is a takeover whose Run has returned.
type Done struct {
	View cluster.View // the lock and the state as this takeover left them, as far as it knows

	ended chan struct{}
}

// Wait returns when the takeover does nothing more to other members: the parked ones and the old master follow our Redis, or
// the context of Run has ended.
func (d *Done) Wait() { <-d.ended }

// NotNeeded is the result of a takeover that is not needed, because our Redis is the published master already.
func NotNeeded(v cluster.View) *Done {
	d := &Done{View: v, ended: make(chan struct{})}
	close(d.ended)
	return d
}

// Run stops the published master, promotes our Redis, publishes it and enables writes. The result is never nil, and carries the
// view as it is after an error, too. Work on other members may continue after Run has returned, until ctx ends: see Done.Wait.
//
// It returns ErrYielded if another member has newer data and now has the lock, ErrLost or lock.ErrLease if the lock is lost,
// and any error of Redis or Consul. After an error our Redis does not accept writes. The old master is either as it was, or
// parked, with all its data here unless an operator forced it: the next holder of the lock continues from there.
func (t Takeover) Run(ctx context.Context, v cluster.View) (*Done, error) {
	if t.Evidence.Detached == nil {
		t.Evidence.Detached = cluster.NewDetachTracker()
	}
	p := &run{Takeover: t, began: time.Now(), old: &oldMaster{log: t.Log}}
	ctx, stop := context.WithCancel(ctx)
	leased, endLease := t.Session.Lease.Context(ctx)
	p.background.Go(func() { t.CatalogDemotion.read(ctx) })
	v, err := p.becomeMaster(ctx, leased, v)
	if err != nil {
		stop()
	}
	done := &Done{View: v, ended: make(chan struct{})}
	go func() {
		defer close(done.ended)
		p.background.Wait()
		endLease() // not before: the cause of a context that has ended says whether the lock is lost
		stop()
		p.close()
	}()
	return done, err
}

// becomeMaster returns the view with our Redis as the published master. The context leased ends with the lease.
func (p *run) becomeMaster(ctx, leased context.Context, v cluster.View) (cluster.View, error) {
	own, err := p.Self.Redis.Status(ctx)
	if err != nil {
		return v, err
	}
	p.ownRun = own.RunID
	if p.Self.HandedOff {
		if err := p.Self.Redis.Unpause(ctx); err != nil {
			p.Log.Debug("cannot end the pause that a successor may have left",
				"event", "unpause_failed", "redis", p.Self.Redis.Addr(), "err", err)
		}
	}
	if isMasterAlready(own, v.State.Master, p.Evidence.CatalogMaster) { // only the lock or the state was lost
		return p.Publish(ctx, v, own, currentGuard(p.Peers.KeepMembers, p.Self, own))
	}
	committed, end := commitContext(leased)
	defer end()
	v, set, err := p.promoteAndPublish(leased, committed, v, own)
	if err != nil {
		if stillHolder(leased) && !errors.Is(err, ErrLost) {
			p.old.rollback(context.WithoutCancel(ctx), p.Session.Lease.Left(time.Now()))
		}
		return v, err
	}
	return v, p.enableWrites(ctx, committed, v.State, set)
}

// promoteAndPublish does steps 1 to 6. From when the old master accepts no writes it uses the context committed, which outlives
// a stop of this process for a moment. It returns the guard with which writes may be enabled.
func (p *run) promoteAndPublish(ctx, committed context.Context, v cluster.View, own redis.Status) (
	_ cluster.View, set cluster.MinReplicas, err error) {
	notRecorded := v.State.NotRecordedReason(p.Self.Me.ID, own.RunID)
	p.eligibility = eligibilityOf(p.Peers.KeepMembers, notRecorded, p.Operator.forced())
	v, looked, err := p.locateOldMaster(ctx, v, own)
	if err != nil {
		return v, set, err
	}
	if err := p.refuseIfServing(ctx, v, own, looked); err != nil {
		return v, set, err
	}
	p.parkPeers(ctx, v)
	if err := p.exhausted(); err != nil {
		return v, set, err
	}
	p.Timeline.step(StepPeersParked)
	if err := p.stopOldMaster(ctx, v, own); err != nil {
		return v, set, err
	}
	if err := p.detachSelf(ctx, v, own.RunID); err != nil {
		return v, set, err
	}
	if !p.Operator.forced() {
		if v, err = p.haveNewestData(committed, v, notRecorded); err != nil {
			return v, set, err
		}
	}
	p.Timeline.step(StepChecked)
	st, err := p.Self.Redis.Promote(committed)
	if err != nil {
		return v, set, err
	}
	p.Timeline.step(StepPromoted)
	publish, set := p.initialGuard(v.State, st)
	if v, err = p.Publish(committed, v, st, publish); err == nil {
		p.Timeline.step(StepPublished)
	}
	return v, set, err
}

// detachSelf parks our Redis if the old master was not parked: another Redis may come up at the old master's address, and ours
// would follow it. Then it waits for slow members.
func (p *run) detachSelf(ctx context.Context, v cluster.View, ownRun string) error {
	if m := v.State.Master; p.old.parked || m != nil && m.RunID == ownRun {
		return nil
	}
	if err := p.parkSelf(ctx); err != nil {
		return err
	}
	if p.Operator.forced() {
		return nil
	}
	return p.waitForSlowPeers(ctx, v)
}

// haveNewestData returns an error unless our Redis has all data that a parked member has, and may lead.
func (p *run) haveNewestData(ctx context.Context, v cluster.View, notRecorded string) (cluster.View, error) {
	v, err := p.yieldOrCatchUp(ctx, v)
	if err != nil || !p.Peers.KeepMembers || notRecorded == "" {
		return v, err
	}
	if err := p.Peers.ConfirmEligible(ctx, v.State); err != nil {
		return v, fmt.Errorf("%s, and only recorded members may lead again: %w", notRecorded, err)
	}
	return v, nil
}

// checkLease returns lock.ErrLease if the lease is over. It is called right before each command to another member's Redis,
// because a process that was frozen may run on before its timers fire.
func (t Takeover) checkLease() error {
	if t.Session.Lease.Left(time.Now()) == 0 {
		return lock.ErrLease
	}
	return nil
}

// close ends the connections to the other members.
func (p *run) close() {
	p.each(func(m *parkedPeer) { m.close() }) // a connection to a frozen server takes a second to close
	p.old.close()
}
