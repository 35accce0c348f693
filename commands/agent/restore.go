package agent

import (
	"context"
	"time"

	"resec/commands/crash"
	"resec/handlers/redis"
)

// restore leaves our Redis as its operator had it: without a fence or a guard of ours. Of a master that nobody elected only
// a replica of nobody is left.
func (a *Agent) restore(ctx context.Context) {
	ctx, cancel := a.parting(ctx) // a second handover is in it
	defer cancel()
	st, err := a.settled(ctx)
	k := a.board.Get()
	if err != nil && !redis.Refused(err) {
		a.keeps(err)
	}
	if err != nil || k.found.run != st.RunID {
		return // it is gone, or a new one, with nothing of ours on it
	}
	k.health.Status = st
	a.toldFollowing(k) // a successor, where there is one
	if m := k.view.State.Master; st.Master && m != nil && m.RunID == st.RunID {
		if st, err = a.resign(ctx, k, st); err != nil {
			if !redis.Refused(err) {
				a.keeps(err)
			}
			return
		}
		if st.Master { // it stays one
			if err := a.unhang(ctx, k, st); err != nil {
				a.keeps(err)
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
	if a.burdened(k, st) && (!st.Master || st.Fenced()) {
		_ = a.giveBack(ctx, k.found) // it has said so
	}
	crash.At("restored")
}

// resign is leave for a master that was told to when it had just lost its lock, or was about to be let go: the lock is taken
// again for that. It returns our Redis as it is then.
func (a *Agent) resign(ctx context.Context, k known, st redis.Status) (redis.Status, error) {
	if a.guarded.Load() || !a.burdened(k, st) {
		return st, nil // all is said, or done
	}
	short, cancel := context.WithTimeout(ctx, stayFor)
	defer cancel()
	s, v, end, kept := a.retake(short, k.session, st.RunID)
	defer end()
	if kept == nil {
		a.wrote(v)
		kept = a.leave(ctx, s, reign{id: a.Me.ID, session: s.ID, run: st.RunID, index: v.Index, term: v.State.Term()})
	}
	st, err := a.settled(ctx)
	if err == nil && st.Master && kept != nil {
		a.keeps(kept)
	}
	return st, err
}

// settled is our Redis once another that has the lock has made it a replica, or when that has taken too long.
func (a *Agent) settled(ctx context.Context) (redis.Status, error) {
	for end := time.Now().Add(settleFor); ; {
		k := a.board.Get()
		st, err := a.Redis.Status(ctx)
		m, others := k.view.State.Master, !k.view.Free() && k.view.Holder != a.Me.ID
		if err != nil || a.guarded.Load() || m == nil || !others || !st.Master && st.Of == m.Address && !st.Fenced() || time.Now().After(end) {
			return st, err
		}
		select {
		case <-ctx.Done():
			return st, ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// giveBack sets what the operator had.
func (a *Agent) giveBack(ctx context.Context, o found) error {
	err := a.Redis.SetGuard(ctx, o.Replicas, o.MaxLag)
	if err != nil {
		a.Log.Warn("the operator's own min-replicas settings could not be set", "err", err)
		return err
	}
	a.Log.Info("redis has its operator's own min-replicas settings again", "min_replicas", o.Replicas, "max_lag", o.MaxLag)
	a.glance()
	return nil
}
