package takeover

import (
	"context"
	"errors"
	"fmt"
	"time"

	"resec/commands/cluster"
	"resec/handlers/redis"
)

const (
	// guardCloseMargin is what a silent master is given beyond its min-replicas-max-lag. Redis counts a replica that is late by MaxLag
	// in whole seconds, which is up to MaxLag + 1 s; it looks once a second, at a clock that may be 0.1 s old; that makes
	// MaxLag + 2.1 s, and the rest is for its clock beside ours.
	guardCloseMargin = 2500 * time.Millisecond
	// proofTimeout bounds how long the lock is kept without enough members that are known not to follow the old master, and, beyond
	// what its guard takes, for members that come and go.
	proofTimeout = 10 * time.Second
	// FollowConfirmTimeout is how old Consul's word for a master may be when a replica is told to follow it. A challenger begins
	// its last look at who follows nobody so long after it was elected.
	FollowConfirmTimeout = 500 * time.Millisecond
	// ProbeInterval is the pause between two looks at a master that is silent, and at those who do not follow it.
	ProbeInterval = 200 * time.Millisecond
)

// GuardCloseTime is how long enough members must not have followed a silent master, so that its guard has closed it.
func GuardCloseTime(m *cluster.Master) time.Duration {
	return time.Duration(m.MaxLag)*time.Second + guardCloseMargin
}

var errGuardUnproven = errors.New("it is silent, and nothing proves that it accepts no writes; `resec failover -to ID -force` overrides")

// guardProof is what was done about a silent master's guard.
type guardProof struct {
	began  time.Time // of the first look
	logged bool
}

// awaitGuardProof gathers evidence that a silent master's guard has closed it: enough of the recorded members, ourselves included, are
// parked by us or gone, and so long that Redis counts none of them. A lease that is over is no proof, but with GUARD=off it
// is all there is. It looks once, and tells whether that is enough; an error where it will not be.
func (p *run) awaitGuardProof(ctx context.Context, v cluster.View, old *cluster.Master, proof *guardProof) (closed bool, err error) {
	need := v.State.DetachQuorum()
	trusted := p.ForcedFailover != nil || v.State.MasterReportedGone(old.ID) || old.Guard == cluster.GuardOff
	if need == 0 && !trusted { // whoever is left where it is may follow it on
		return false, fmt.Errorf("%w (its guard is not known, or none)", errGuardUnproven)
	}
	if !p.old.unreachable {
		p.old.unreachable = true
		p.Timeline.step("silent")
		if !p.old.deniesAccess { // or it may be another's, which would do as it is told
			p.sendFenceAsync(ctx, v.State.MasterReportedGone(old.ID))
		}
	}
	switch {
	case p.ForcedFailover != nil:
		p.Log.Warn("the old master is silent, and deposed by force: whether it accepts writes is not known", "master", old.ID)
		return true, nil
	case v.State.MasterReportedGone(old.ID):
		p.Log.Info("the old master is silent, and its own agent has seen to it", "master", old.ID, "why", v.State.Why)
		return true, nil
	case old.Guard == cluster.GuardOff:
		p.Log.Warn("the old master is silent, and has no guard: only the end of its lease speaks for it", "master", old.ID)
		return true, nil
	}
	if proof.began.IsZero() {
		proof.began = time.Now()
	}
	looked := time.Now()
	p.refreshDetached(ctx, v)
	now, wait := time.Now(), GuardCloseTime(old)+p.StallAllowance
	known, long := p.countDetached(now, 0), p.countDetached(now, wait)
	switch {
	case long >= need && looked.Sub(p.began) >= FollowConfirmTimeout:
		p.Timeline.step("proven")
		p.Log.Warn("the old master is silent, and its guard has closed it", "master", old.ID, "known", known, "need", need)
		return true, nil
	case known < need && now.Sub(proof.began) > proofTimeout, now.Sub(proof.began) > proofTimeout+wait:
		return false, fmt.Errorf("%w (%d members do not follow it, %d of %d would prove it)", errGuardUnproven, known, need, v.State.MemberCount(old.ID))
	case !proof.logged:
		proof.logged = true
		p.Log.Warn("the old master is silent: its guard is waited for", "master", old.ID, "addr", old.Address, "known", known, "need", need, "wait", wait)
	}
	select {
	case <-ctx.Done():
	case <-time.After(ProbeInterval):
	}
	return false, nil
}

// sendFenceAsync deposes a silent master. A frozen process is told at once; a machine that is gone, never. Where its own agent has told it
// already, that is not waited for.
func (p *run) sendFenceAsync(ctx context.Context, already bool) {
	told := make(chan struct{})
	p.background.Go(func() { defer close(told); p.sendFence(ctx) })
	if already {
		return
	}
	select {
	case <-told:
	case <-time.After(KnownDeadTimeout):
	}
}

// sendFence sends a silent master what it is to do when it goes on.
func (p *run) sendFence(ctx context.Context) {
	opt := p.Creds
	opt.Addr = p.old.addr
	will := redis.NewEmergencyFence(opt)
	defer will.Close()
	if err := will.Send(ctx); err != nil {
		p.Log.Debug("fence and park could not be sent to the silent master", "addr", opt.Addr, "err", err)
	}
}

// refreshDetached parks whom it can, and notes who does not follow the old master.
func (p *run) refreshDetached(ctx context.Context, v cluster.View) {
	p.note(ctx, p.Me.ID, p.Redis.Status)
	if st, err := p.Redis.Status(ctx); err == nil && !st.Parked() && !st.Master && p.Redis.Park(ctx) == nil {
		p.note(ctx, p.Me.ID, p.Redis.Status)
	}
	p.each(func(m *parkedPeer) {
		if m.err == nil {
			if st, err := m.server.Status(ctx); err == nil && st.Parked() && st.RunID == m.status.RunID {
				p.Detached.Observe(m.ID, st, nil, time.Now())
				return
			}
		}
		m.close()
		if m.err = p.parkPeer(ctx, v, m); m.parkedJustNow { // it may have been attached meanwhile
			p.Detached.Observe(m.ID, redis.Status{}, nil, time.Now())
		}
		p.Detached.Observe(m.ID, m.status, m.err, time.Now())
	})
}

// note looks at a member.
func (p *run) note(ctx context.Context, id string, look func(context.Context) (redis.Status, error)) {
	st, err := look(ctx)
	p.Detached.Observe(id, st, err, time.Now())
}

// countDetached is how many members, ourselves included, do not follow the old master for at least that long.
func (p *run) countDetached(now time.Time, long time.Duration) int {
	ids := []string{p.Me.ID}
	for _, m := range p.parked {
		ids = append(ids, m.ID)
	}
	return p.Detached.CountDetached(now, long, ids...)
}
