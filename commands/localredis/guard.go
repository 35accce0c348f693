package localredis

import (
	"context"
	"errors"
	"fmt"
	"time"

	"resec/commands/cluster"
	"resec/commands/lock"
	"resec/handlers/redis"
)

// ErrChangedMeanwhile is returned if the server is no longer as it was when a change was decided.
var ErrChangedMeanwhile = errors.New("redis has changed meanwhile")

// ErrStalled is returned by SetGuard if this process stalled while it ended a fence. The server is fenced again.
var ErrStalled = errors.New("this process stalled meanwhile")

// SetGuard sets the guard that was decided by that status, and ends every fence. It returns ErrChangedMeanwhile if the guard,
// the instance or the role is another by now: a fence that was set meanwhile must not be ended by an older decision. Before it
// ends a fence the lease must last: otherwise it returns lock.ErrLease. If this process stalled for longer than limit while a
// fence was ended, another member may have become the master: the server is fenced again, and SetGuard returns ErrStalled. Its
// other errors are those of redis.Server.Status and redis.Server.SetGuard.
func (r *Redis) SetGuard(ctx context.Context, decided redis.Status, to cluster.MinReplicas, lease lock.Lease,
	limit time.Duration) error {
	began := time.Now()
	end, err := r.begin(ctx)
	if err != nil {
		return err
	}
	defer end()
	now, err := r.server.Status(ctx)
	if err != nil {
		return err
	}
	sameServer := now.RunID == decided.RunID && now.Master == decided.Master
	if !sameServer || now.MinReplicas != decided.MinReplicas || now.MaxLag != decided.MaxLag {
		return ErrChangedMeanwhile
	}
	if decided.Fenced() && lease.Left(time.Now()) == 0 {
		return lock.ErrLease
	}
	defer r.ProbeSoon()
	err = r.server.SetGuard(ctx, to.Replicas, to.MaxLag)
	if err == nil {
		clear(r.fences)
	}
	if decided.Fenced() && time.Since(began) >= limit { // without an answer, too: the guard may have been set
		return errors.Join(fmt.Errorf("unfence redis %s: %w", r.Addr(), ErrStalled), err, r.fenceAgain(ctx))
	}
	return err
}

// fenceAgainTimeout bounds the fence after a stall, which the end of the term must not cut short.
const fenceAgainTimeout = 2 * time.Second

// fenceAgain fences the server after a stall, as a part of the change that ended its fence.
func (r *Redis) fenceAgain(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), fenceAgainTimeout)
	defer cancel()
	return r.addFence(ctx, fencedForStall)
}

// RestoreSettings sets the operator's own min-replicas settings, and unfences the server whatever the reasons. Its errors are
// those of redis.Server.SetGuard.
func (r *Redis) RestoreSettings(ctx context.Context, o cluster.MinReplicas) error {
	end, err := r.begin(ctx)
	if err != nil {
		return err
	}
	defer end()
	defer r.ProbeSoon()
	if err := r.server.SetGuard(ctx, o.Replicas, o.MaxLag); err != nil {
		return fmt.Errorf("restore the operator's min-replicas settings: %w", err)
	}
	clear(r.fences)
	r.log.Info("operator's min-replicas settings are restored", "event", "settings_restored",
		"redis", r.Addr(), "min_replicas", o.Replicas, "max_lag", o.MaxLag)
	return nil
}

// ClearStallFence sets the published guard on a master that is fenced because this process stalled. runID is its instance. It
// leaves one alone whose guard is held open. Call it only while Consul is down: then no agent can have lowered that guard
// meanwhile, and this process runs again. Its errors are those of redis.Server.Status and redis.Server.SetGuard.
func (r *Redis) ClearStallFence(ctx context.Context, runID string, published cluster.MinReplicas) error {
	end, err := r.begin(ctx)
	if err != nil {
		return err
	}
	defer end()
	_, stalled := r.fences[fencedForStall]
	if _, held := r.fences[fencedHeldOpen]; held || !stalled {
		return nil
	}
	st, err := r.server.Status(ctx)
	if err != nil || !st.Master || st.RunID != runID || !st.Fenced() {
		return err
	}
	if err := r.server.SetGuard(ctx, published.Replicas, published.MaxLag); err != nil {
		return err
	}
	clear(r.fences)
	return nil
}
