package agent

import (
	"context"
	"time"

	"resec/commands/cluster"
	"resec/commands/failpoint"
	"resec/handlers/redis"
)

// restore leaves our Redis as its operator had it: without a fence or a guard of ours. Of a master that nobody elected only
// a replica of nobody is left.
func (a *Agent) restore(ctx context.Context) {
	ctx, cancel := a.shutdownContext(ctx) // a second handover is in it
	defer cancel()
	st, err := a.waitUntilReplica(ctx)
	k := a.known.Load()
	if err != nil && !redis.Refused(err) {
		a.logGuardLeft(err)
	}
	if err != nil || k.Operator.RunID != st.RunID {
		return // it is gone, or a new one, with nothing of ours on it
	}
	k.Health.Status = st
	a.notifyFollowing(k) // a successor, where there is one
	if m := k.View.State.Master; st.Master && m != nil && m.RunID == st.RunID {
		if st, err = a.handOverLate(ctx, k, st); err != nil {
			if !redis.Refused(err) {
				a.logGuardLeft(err)
			}
			return
		}
		if st.Master { // it stays one
			if err := a.clearStallFence(ctx, k, st); err != nil {
				a.logGuardLeft(err)
			}
			return
		}
	}
	if st.Master && st.Fenced() {
		if err := a.Redis.Park(ctx); err != nil {
			a.Log.Error("redis stays a fenced master", "redis", a.Redis.Addr(), "err", err)
			return
		}
	}
	if a.guardDiffers(k, st) && (!st.Master || st.Fenced()) {
		_ = a.restoreSettings(ctx, k.Operator) // it has said so
	}
	failpoint.Hit("restored")
}

// handOverLate is leave for a master that was told to when it had just lost its lock, or was about to be let go: the lock is taken
// again for that. It returns our Redis as it is then.
func (a *Agent) handOverLate(ctx context.Context, k snapshot, st redis.Status) (redis.Status, error) {
	if a.guardLeftBehind.Load() || !a.guardDiffers(k, st) {
		return st, nil // all is said, or done
	}
	short, cancel := context.WithTimeout(ctx, removeGuardTimeout)
	defer cancel()
	s, v, end, kept := a.reacquire(short, k.session, st.RunID)
	defer end()
	if kept == nil {
		a.setWritten(v)
		kept = a.handOverAndRelease(ctx, s, cluster.Term{ID: a.Me.ID, Session: s.ID, RunID: st.RunID, Index: v.Index, Number: v.State.Term()})
	}
	st, err := a.waitUntilReplica(ctx)
	if err == nil && st.Master && kept != nil {
		a.logGuardLeft(kept)
	}
	return st, err
}

// waitUntilReplica is our Redis once another that has the lock has made it a replica, or when that has taken too long.
func (a *Agent) waitUntilReplica(ctx context.Context) (redis.Status, error) {
	for end := time.Now().Add(successorTimeout); ; {
		k := a.known.Load()
		st, err := a.Redis.Status(ctx)
		m, others := k.View.State.Master, !k.View.Free() && k.View.Holder != a.Me.ID
		if err != nil || a.guardLeftBehind.Load() || m == nil || !others || !st.Master && st.MasterAddr == m.Address && !st.Fenced() || time.Now().After(end) {
			return st, err
		}
		select {
		case <-ctx.Done():
			return st, ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// restoreSettings sets what the operator had.
func (a *Agent) restoreSettings(ctx context.Context, o cluster.OperatorSettings) error {
	err := a.Redis.SetGuard(ctx, o.Replicas, o.MaxLag)
	if err != nil {
		a.Log.Warn("the operator's own min-replicas settings could not be set", "err", err)
		return err
	}
	a.Log.Info("redis has its operator's own min-replicas settings again", "min_replicas", o.Replicas, "max_lag", o.MaxLag)
	a.probeSoon()
	return nil
}
