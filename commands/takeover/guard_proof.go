package takeover

import (
	"context"
	"fmt"
	"time"

	"resec/commands/cluster"
	"resec/handlers/redis"
)

// guardProof is the state of the wait for an unreachable master's guard.
type guardProof struct {
	began  time.Time // of the first round of observations
	logged bool
}

// awaitGuardProof does one round: it collects evidence that an unreachable master's guard refuses writes. That is so if enough
// recorded members, ours included, are parked or down, for so long that the old master counts none of them. Without proof it
// waits for ProbeInterval and returns false. It returns errGuardUnproven if there will be no proof. A lease that is over is no
// proof, but with GUARD=off nothing else is known.
func (p *run) awaitGuardProof(ctx context.Context, v cluster.View, old *cluster.Master, proof *guardProof) (closed bool,
	err error) {
	reported, need := v.State.MasterReportedGone(old.ID), v.State.DetachQuorum()
	basis := closureBasisOf(p.Operator.forced(), reported, old.Guard, need)
	if basis == noBasis {
		return false, fmt.Errorf("%w (its guard is not known, or none)", errGuardUnproven)
	}
	p.markUnreachable(ctx, reported)
	if basis != basisGuard {
		p.logClosure(basis, v, old)
		return true, nil
	}
	found := p.observeDetached(ctx, v, old, proof)
	switch found.guardProofVerdict() {
	case guardClosed:
		p.Timeline.step(StepGuardClosed)
		p.Log.Warn("old master unreachable: its min-replicas guard refuses writes by now; taking over",
			"event", "old_master_guard_closed",
			"master", old.ID, "detached", found.detachedLong, "need", need)
		return true, nil
	case guardUnproven:
		return false, fmt.Errorf("%w (%d members are detached from it, %d of %d would prove it)",
			errGuardUnproven, found.detached, need, v.State.MemberCount(old.ID))
	}
	if !proof.logged {
		proof.logged = true
		p.Log.Warn("old master unreachable: waiting for its min-replicas guard to refuse writes",
			"event", "old_master_guard_wait", "master", old.ID, "addr", old.Address, "detached", found.detached, "need", need,
			"wait", found.closeTime)
	}
	select {
	case <-ctx.Done():
	case <-time.After(ProbeInterval):
	}
	return false, nil
}

// observeDetached does one round of observations and counts.
func (p *run) observeDetached(ctx context.Context, v cluster.View, old *cluster.Master, proof *guardProof) guardObservations {
	if proof.began.IsZero() {
		proof.began = time.Now()
	}
	began := time.Now()
	p.refreshDetached(ctx, v)
	now, closeTime := time.Now(), GuardCloseTime(old)+p.Evidence.StallAllowance
	return guardObservations{
		need:         v.State.DetachQuorum(),
		detached:     p.countDetached(now, 0),
		detachedLong: p.countDetached(now, closeTime),
		closeTime:    closeTime,
		sinceElected: began.Sub(p.began),
		sinceFirst:   now.Sub(proof.began),
	}
}

// logClosure logs why an unreachable master is replaced without waiting for its guard.
func (p *run) logClosure(basis closureBasis, v cluster.View, old *cluster.Master) {
	switch basis {
	case basisForced:
		p.Log.Warn("old master unreachable: replacing it by force; it may still accept writes",
			"event", "old_master_replaced_by_force",
			"master", old.ID)
	case basisReported:
		p.Log.Info("old master unreachable: its own agent has reported it; taking over", "event", "old_master_reported",
			"master", old.ID, "why", v.State.Why)
	case basisLease:
		p.Log.Warn("old master unreachable and GUARD=off: continuing without proof that it refuses writes; its lease is over",
			"event", "old_master_lease_over", "master", old.ID)
	}
}

// markUnreachable is done once: it sends the old master a fence and a park. A Redis that denies access may be another
// cluster's, and would execute them, so it is sent nothing. Nor is one that is known to be another member's.
func (p *run) markUnreachable(ctx context.Context, reported bool) {
	if p.old.unreachable {
		return
	}
	p.old.unreachable = true
	p.Timeline.step(StepUnreachable)
	if !p.old.deniesAccess && !p.old.elsewhere {
		p.sendFenceAsync(ctx, reported)
	}
}

// sendFenceAsync writes a fence and a park to the unresponsive master's socket. A frozen process executes them when it resumes;
// for a dead host they are lost. It waits for a moment, unless the master's own agent has already sent them.
func (p *run) sendFenceAsync(ctx context.Context, already bool) {
	sent := make(chan struct{})
	p.background.Go(func() { defer close(sent); p.sendFence(ctx) })
	if already {
		return
	}
	select {
	case <-sent:
	case <-time.After(KnownDeadTimeout):
	}
}

func (p *run) sendFence(ctx context.Context) {
	fence := redis.NewEmergencyFence(p.Self.Creds.At(p.old.addr))
	defer fence.Close()
	if err := fence.Send(ctx); err != nil {
		p.Log.Debug("cannot send a fence and a park to the unreachable master",
			"event", "fence_not_sent", "addr", p.old.addr, "err", err)
	}
}
