package agent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"resec/commands/cluster"
	"resec/commands/known"
	"resec/commands/localredis"
	"resec/commands/lock"
	"resec/commands/takeover"
	"resec/handlers"
	"resec/handlers/redis"
)

// follow makes our Redis a replica of the published master.
func (c *controller) follow(ctx context.Context, k known.Snapshot) error {
	m := k.View.State.Master
	to := handlers.Target{Addr: m.Address, RunID: m.RunID, Force: k.View.State.ForcedToFollow(c.a.Me.ID),
		Confirm: func(ctx context.Context) error { return c.a.confirmHolder(ctx, k) }}
	res, err := c.a.local.Follow(ctx, to)
	if errors.Is(err, lock.ErrChanged) {
		return nil
	}
	why := ""
	if err != nil {
		why = "redis does not follow the master " + m.ID + " (" + m.Address + "): " + followFailure(err)
	}
	c.a.setReason(why)
	if errors.Is(err, handlers.ErrOwnAddress) {
		c.a.addresses.Note(m.ID, m.Address, k.View.CheckMember(m.ID, k.Health.Status, k.Self(c.a.Me.ID)))
	} else {
		c.a.addresses.Note(m.ID, m.Address, err)
	}
	if res.Changed {
		c.a.Log.Info("redis follows the master", "event", "following", "master", m.ID, "addr", m.Address, "term", m.Term)
	}
	refused := errors.Is(err, handlers.ErrRefused) && !k.Health.Status.Parked() && !isSource(k.Health.Status, err)
	if refused || err != nil && !res.Changed && cluster.UnelectedMaster(k.Snapshot) {
		return errors.Join(err, c.parkAndWait(ctx, k, why))
	}
	return err
}

// isSource reports whether our Redis may be what a takeover makes another member catch up from: a fenced master, while the
// published one is none. It takes no writes, and stays so until there is a master to follow.
func isSource(own redis.Status, err error) bool {
	return own.Master && own.Fenced() && errors.Is(err, handlers.ErrNotMaster)
}

// followFailure says why Redis does not follow, in a text that stays the same from one try to the next.
func followFailure(err error) string {
	switch {
	case errors.Is(err, handlers.ErrRefused), errors.Is(err, handlers.ErrOwnAddress):
		return err.Error()
	case errors.Is(err, errUnconfirmed):
		return errUnconfirmed.Error()
	case errors.Is(err, localredis.ErrConfirmedTooLongAgo):
		return localredis.ErrConfirmedTooLongAgo.Error()
	}
	return redis.Summary(err)
}

var errUnconfirmed = errors.New("consul does not confirm that the master holds the lock")

// confirmHolder makes sure that the published master still holds the lock: another holder may have parked us, and count on
// that. An answer that comes too late for the next step is none. It returns lock.ErrChanged or errUnconfirmed.
func (a *Agent) confirmHolder(ctx context.Context, k known.Snapshot) error {
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, takeover.FollowConfirmTimeout)
	defer cancel()
	v, err := a.Lock.Read(ctx)
	if err != nil {
		return fmt.Errorf("%w: %w", errUnconfirmed, err)
	}
	if m := v.State.Master; v.Session != k.View.Session || m == nil || m.RunID != k.View.State.Master.RunID {
		a.observer.Take(v)
		return lock.ErrChanged
	}
	if time.Since(began) > takeover.FollowConfirmTimeout { // this process stalled
		return fmt.Errorf("%w in time", errUnconfirmed)
	}
	return nil
}

// parkAndWait parks our Redis until it may follow a master.
func (c *controller) parkAndWait(ctx context.Context, k known.Snapshot, why string) error {
	c.a.setReason(why)
	if k.Health.Status.Parked() {
		return nil
	}
	err := c.a.local.Park(ctx)
	if err != nil && ctx.Err() == nil && c.isNew("park", err) {
		c.a.Log.Warn("cannot park redis, retrying", "event", "park_own_failed", "redis", c.a.local.Addr(), "err", err)
	}
	return err
}

// reconcile puts right what was set on a replica by hand, and restores the operator's settings on one that is no longer a
// master.
func (c *controller) reconcile(ctx context.Context, k known.Snapshot) {
	st := k.Health.Status
	if k.Health.Err != nil || !k.Probed || st.Master || k.Paused {
		return
	}
	if !st.ReplicaWritable {
		c.readOnly.Reset()
	} else if !c.setReadOnly(ctx) {
		return
	}
	own := cluster.MinReplicas{Replicas: st.MinReplicas, MaxLag: st.MaxLag}
	if k.Operator.RunID == st.RunID && own == k.Operator.MinReplicas {
		c.settings.Reset()
	} else if k.Operator.RunID == st.RunID && !st.Fenced() && k.Operator.Persisted(k.Snapshot, c.a.Me.ID) {
		c.restoreSettings(ctx, k.Operator.MinReplicas)
	}
}

// setReadOnly makes our Redis, a replica, refuse writes, and reports whether that is done. The next snapshot tries again.
func (c *controller) setReadOnly(ctx context.Context) bool {
	err := c.a.local.SetReadOnly(ctx)
	if err == nil {
		c.a.Log.Warn("replica-read-only was not yes, so redis may have taken writes as a replica; it is set to yes",
			"event", "read_only_set", "redis", c.a.local.Addr())
	} else if ctx.Err() == nil && c.readOnly.Changed(redis.Summary(err)) {
		c.a.Log.Warn("replica-read-only is not yes and cannot be set, retrying", "event", "read_only_failed",
			"redis", c.a.local.Addr(), "err", err)
	}
	return err == nil
}

// restoreSettings sets the operator's own settings on our Redis, which is a replica. The next snapshot tries again.
func (c *controller) restoreSettings(ctx context.Context, o cluster.MinReplicas) {
	err := c.a.local.RestoreSettings(ctx, o)
	if err == nil {
		c.settings.Reset()
		return
	}
	if ctx.Err() == nil && c.settings.Changed(redis.Summary(err)) {
		c.a.Log.Warn("cannot restore the operator's min-replicas settings, retrying", "event", "restore_settings_failed",
			"redis", c.a.local.Addr(), "err", err)
	}
}
