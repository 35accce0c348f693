package takeover

import (
	"context"
	"errors"
	"fmt"
	"time"

	"resec/commands/cluster"
	"resec/handlers"
	"resec/handlers/redis"
)

var (
	// errRestarted is returned if our Redis was to receive data from a server that is down or was restarted.
	errRestarted = errors.New("it is down, or was restarted")
	// errOldMasterHasLock is returned if the old master holds the lock again.
	errOldMasterHasLock = errors.New("the old master has taken the lock again")
)

// attachToOld makes our Redis a streaming replica of the old master, unless it is one, so that it can receive the last bytes. A
// master that refuses new replicas writes nothing any more: nothing is missing here if our Redis has all its data.
func (p *run) attachToOld(ctx context.Context, old *cluster.Master, own, master redis.Status) error {
	if streamsHistoryOf(own, master) || master.RefusesReplicas() && hasAll(own.Position, master.Position) {
		return nil
	}
	if err := handlers.MayFollow(own, master, false); err != nil {
		return err
	}
	if err := p.Self.Redis.Follow(ctx, old.Address); err != nil {
		return err
	}
	return p.waitUntil(ctx, catchUpTimeout, 10*time.Millisecond, func(own redis.Status) (bool, error) {
		return own.Streaming(), verifySameRun(ctx, own, p.old.server, p.old.run)
	})
}

// verifySameRun returns errRestarted if our Redis, whose link is down, may reconnect to another instance than the one that is
// meant. It reconnects within a second to whatever listens at the address, and that may be empty. The watch on the published
// master does not park our Redis during a takeover.
func verifySameRun(ctx context.Context, own redis.Status, from *redis.Server, run string) error {
	if own.Streaming() {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, peerTimeout)
	defer cancel()
	if st, err := from.Status(ctx); redis.Refused(err) || err == nil && st.RunID != run {
		return errRestarted
	}
	return nil
}

// parkIfMasterDown parks our Redis if it follows the old master and that is down or was restarted.
func (p *run) parkIfMasterDown(ctx context.Context) {
	ctx = context.WithoutCancel(ctx)
	if verifySameRun(ctx, redis.Status{}, p.old.server, p.old.run) == nil {
		return
	}
	if err := p.parkIfFollowing(ctx, p.old.addr); err != nil {
		p.Log.Error("the old master is down, and our redis could not be parked; it may follow whatever starts at that address",
			"event", "park_self_failed", "addr", p.old.addr, "err", err)
	}
}

// parkIfFollowing parks our Redis if it follows that address.
func (t Takeover) parkIfFollowing(ctx context.Context, addr string) error {
	own, err := t.Self.Redis.Status(ctx)
	if err != nil || own.Master || own.MasterAddr != addr {
		return err
	}
	return t.Self.Redis.Park(ctx)
}

// drain pauses the writes of the old master, fences it behind the pause, waits until our Redis has all its data, and parks it.
func (t Takeover) drain(ctx context.Context, old *oldMaster) error {
	if err := t.pauseAndFence(ctx, old); err != nil {
		return err
	}
	st, err := old.server.Status(ctx)
	if err != nil {
		return err
	}
	if err := t.waitForOffset(ctx, old, st.Position); err != nil {
		return err
	}
	t.Timeline.step(StepDrained)
	if err := t.confirmLock(ctx, old); err != nil {
		return err
	}
	if err := t.checkLease(); err != nil {
		return err
	}
	if !old.pauseEnds.IsZero() && time.Now().After(old.pauseEnds) {
		return errPauseEnded
	}
	return t.parkOrFence(context.WithoutCancel(ctx), old) // not cut short: from here on our Redis must lead
}

// errPauseEnded is returned if the old master, which refuses a fence, may have accepted writes that our Redis does not have.
var errPauseEnded = errors.New("it refuses the fence, and the pause of its writes is about to end")

// parkOrFence parks the old master. One that refuses that, and takes a fence, is fenced: it accepts no writes either.
func (t Takeover) parkOrFence(ctx context.Context, old *oldMaster) error {
	old.parked = true // also if the answer is lost: then it may have been done
	err := old.server.Park(ctx)
	old.parked = !redis.CommandRefused(err)
	if !old.parked && old.pauseEnds.IsZero() {
		if errFence := t.fence(ctx, old); errFence != nil {
			return errors.Join(err, errFence)
		}
		t.Log.Warn("the old master refuses to be parked; it stays a master that is fenced, and accepts no writes",
			"event", "park_refused", "addr", old.addr, "err", err)
		return nil
	}
	if err == nil {
		t.Timeline.step(StepParked)
	}
	return err
}

func (t Takeover) pauseAndFence(ctx context.Context, old *oldMaster) error {
	if err := t.checkLease(); err != nil {
		return err
	}
	if err := t.pause(ctx, old); err != nil {
		return err
	}
	err := t.fence(ctx, old)
	if redis.CommandRefused(err) && old.paused {
		t.Log.Warn("the old master refuses the fence; it is parked before the pause of its writes ends", "event", "fence_refused",
			"addr", old.addr, "err", err)
		return t.pauseLonger(ctx, old)
	}
	if err == nil {
		t.Timeline.step(StepFenced)
	}
	return err
}

// fence fences the old master, and notes whether it was not fenced before. It returns errRestarted if another instance answers.
func (t Takeover) fence(ctx context.Context, old *oldMaster) error {
	st, err := old.server.Status(ctx)
	if err != nil {
		return err
	}
	if st.RunID != old.run {
		return errRestarted
	}
	old.fenced = old.fenced || !st.Fenced()
	if err = old.server.Fence(ctx); redis.CommandRefused(err) {
		old.fenced = false
	}
	return err
}

// parkCommands is how many commands a park has at most; each takes up to the timeout of Redis.
const parkCommands = 3

// pauseLonger makes the pause of an old master that refuses the fence last until it is parked, and notes until when the park must
// begin.
func (t Takeover) pauseLonger(ctx context.Context, old *oldMaster) error {
	park := (parkCommands + 1) * t.Self.Creds.Timeout
	began := time.Now()
	if err := old.server.Pause(ctx, clientPauseTimeout+park); err != nil {
		return err
	}
	old.pauseEnds = began.Add(clientPauseTimeout)
	return nil
}

// pause holds the old master's writes back. One that denies CLIENT PAUSE is fenced without it: until our Redis leads its clients
// get errors instead of waiting.
func (t Takeover) pause(ctx context.Context, old *oldMaster) error {
	old.paused = true // also if the answer is lost: then it may have been done
	err := old.server.Pause(ctx, clientPauseTimeout)
	if redis.CommandRefused(err) {
		old.paused = false
		t.Log.Warn("the old master denies CLIENT PAUSE; it refuses writes until our redis leads, instead of holding them back",
			"event", "pause_refused", "addr", old.addr, "err", err)
		return nil
	}
	if err == nil {
		t.Timeline.step(StepPaused)
	}
	return err
}

// confirmLockTimeout bounds the last look at the lock, during which writes are paused.
const confirmLockTimeout = 300 * time.Millisecond

// confirmLock asks Consul whether the lock is ours: once the old master is parked no Redis accepts writes until ours is
// published. If Consul does not answer it returns an error, and the old master continues.
func (t Takeover) confirmLock(ctx context.Context, old *oldMaster) error {
	ctx, cancel := context.WithTimeout(ctx, confirmLockTimeout)
	defer cancel()
	v, err := t.Lock.Read(ctx)
	if err != nil {
		return err
	}
	return lockVerdict(v, t.Session.ID, old.run)
}

// waitForOffset waits until our Redis has all data up to the position.
func (t Takeover) waitForOffset(ctx context.Context, old *oldMaster, want redis.Position) error {
	return t.waitUntil(ctx, DrainTimeout, 2*time.Millisecond, func(own redis.Status) (bool, error) {
		return hasAll(own.Position, want), verifySameRun(ctx, own, old.server, old.run)
	})
}

// waitUntil asks our Redis again and again until done returns true or an error. Redis offers no notification of its offset.
func (t Takeover) waitUntil(ctx context.Context, timeout, every time.Duration, done func(redis.Status) (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		own, err := t.Self.Redis.Status(ctx)
		if err != nil {
			return err
		}
		if is, err := done(own); is || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("our redis did not catch up: offset %d of replication id %.8s, streaming %t: %w",
				own.Position.Offset, own.Position.ReplID, own.Streaming(), ctx.Err())
		case <-tick.C:
		}
	}
}
