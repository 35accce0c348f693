package agent

import (
	"context"
	"time"

	"resec/commands/cluster"
	"resec/commands/failpoint"
	"resec/commands/known"
)

// lostUnguarded reports whether the lock may be another member's and our Redis has no guard: the lease was all that closed it. An
// agent that stops has lost its lock only if the view shows another session. A Consul that went back in time shows an older
// holder.
func (t *leaderTerm) lostUnguarded(k known.Snapshot, why cluster.EndReason) bool {
	if why.Release != "" || why.KeepLock || k.View.Free() || k.View.WentBack || why.ShuttingDown && k.View.Session == t.session.ID {
		return false
	}
	return t.a.Guard.Replicas == cluster.GuardOff && !k.Paused
}

// sendEmergencyFence writes fence and park to a frozen Redis's socket, and returns why the lock is to be released. Another member
// relies on WhyFrozen, so that is returned only if both were sent.
func (t *leaderTerm) sendEmergencyFence(ctx context.Context, why cluster.EndReason) (release string) {
	failpoint.Hit("frozen")
	defer failpoint.Hit("blind")
	if err := t.a.local.SendEmergencyFence(ctx); err != nil {
		t.a.Log.Error("redis is frozen, and fence and park cannot be sent to it; its guard must close it",
			"event", "emergency_fence_failed", "redis", t.a.local.Addr(), "err", err)
		return cluster.WhyUnhealthy
	}
	t.a.Log.Warn("redis is frozen; fence and park are in its socket and will be its first commands",
		"event", "emergency_fence_sent", "redis", t.a.local.Addr())
	t.a.notifyFenced(t.term.Number, why.Text)
	return why.Release
}

// lossFenceTimeout bounds the fence of a master without a guard that has lost its lock.
const lossFenceTimeout = 2 * time.Second

// fenceAfterLoss fences our Redis, because another member holds the lock and there is no guard.
func (t *leaderTerm) fenceAfterLoss(ctx context.Context, why cluster.EndReason) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lossFenceTimeout) // the agent may be about to stop
	defer cancel()
	if err := t.a.local.FenceAfterLoss(ctx); err != nil {
		t.a.Log.Error("lock is lost and redis cannot be fenced; it may accept writes while another master does",
			"event", "loss_fence_failed", "redis", t.a.local.Addr(), "err", err)
		return
	}
	t.a.Log.Warn("lock is lost and GUARD=off; redis is fenced until the lock is ours again, or it follows",
		"event", "loss_fenced", "redis", t.a.local.Addr())
	t.a.notifyFenced(t.term.Number, why.Text)
}
