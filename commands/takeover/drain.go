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

// attachToOld makes our Redis a linked replica of the old master, where it is not, so that there is something to wait for.
func (p *run) attachToOld(ctx context.Context, old *cluster.Master, own, master redis.Status) error {
	if own.Streaming() && own.Position.ReplID == master.Position.ReplID {
		return nil
	}
	if err := handlers.MayFollow(own, master, false); err != nil {
		return err
	}
	if err := p.Redis.Follow(ctx, old.Address); err != nil {
		return err
	}
	return p.waitUntil(ctx, catchUpTimeout, 10*time.Millisecond, func(own redis.Status) (bool, error) {
		return own.Streaming(), verifySameRun(ctx, own, p.old.server, p.old.run)
	})
}

// errRestarted is returned where our Redis was to take over data from a server that is gone, or is another run by now.
var errRestarted = errors.New("it is gone, or was restarted")

// verifySameRun makes sure that our Redis takes nothing from another run than the one that is meant: with its link down it will reconnect,
// within a second, to whatever is there then, and that may be empty. Who watches the published master leaves it to us
// meanwhile.
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

// parkIfMasterDown parks our Redis where the old master, which it follows, is gone.
func (p *run) parkIfMasterDown(ctx context.Context) {
	ctx = context.WithoutCancel(ctx)
	if verifySameRun(ctx, redis.Status{}, p.old.server, p.old.run) == nil {
		return
	}
	if err := p.parkIfFollowing(ctx, p.old.addr); err != nil {
		p.Log.Error("the old master is gone, and our redis could not be parked", "addr", p.old.addr, "err", err)
	}
}

// parkIfFollowing parks our Redis, if it follows that address.
func (t Takeover) parkIfFollowing(ctx context.Context, addr string) error {
	own, err := t.Redis.Status(ctx)
	if err != nil || own.Master || own.MasterAddr != addr {
		return err
	}
	return t.Redis.Park(ctx)
}

// drain holds writes back on the old master, fences it behind that, waits until all it has is here, and parks it.
func (t Takeover) drain(ctx context.Context, old *oldMaster) error {
	if err := t.checkLease(); err != nil {
		return err
	}
	old.paused = true // also where the answer is lost: then it may have been done
	if err := old.server.Pause(ctx, clientPauseTimeout); err != nil {
		return err
	}
	t.Timeline.step("paused")
	st, err := old.server.Status(ctx)
	if err != nil {
		return err
	}
	if st.RunID != old.run {
		return errRestarted
	}
	old.fenced = !st.Fenced()
	if err := old.server.Fence(ctx); err != nil {
		return err
	}
	t.Timeline.step("fenced")
	if st, err = old.server.Status(ctx); err != nil {
		return err
	}
	if err := t.waitForOffset(ctx, old, st.Position); err != nil {
		return err
	}
	t.Timeline.step("drained")
	if err := t.confirmLock(ctx, old); err != nil {
		return err
	}
	if err := t.checkLease(); err != nil {
		return err
	}
	old.parked = true
	if err := old.server.Park(context.WithoutCancel(ctx)); err != nil { // waited for: from here on we are to lead
		return err
	}
	t.Timeline.step("parked")
	return nil
}

// confirmLockTimeout bounds the last look at the lock: writes are held back meanwhile.
const confirmLockTimeout = 300 * time.Millisecond

// confirmLock asks Consul whether the lock is ours: from where the old master is parked nobody accepts writes until we are published.
// With Consul away it goes on as it was.
func (t Takeover) confirmLock(ctx context.Context, old *oldMaster) error {
	ctx, cancel := context.WithTimeout(ctx, confirmLockTimeout)
	defer cancel()
	v, err := t.Lock.Read(ctx)
	switch m := v.State.Master; {
	case err != nil || v.Session == t.Session.ID:
		return err
	case m != nil && m.ID == v.Holder && m.RunID == old.run: // nobody who counts on what we have done to it
		return errors.New("the old master has taken the lock again")
	}
	return ErrLost
}

// waitForOffset waits until our Redis stands at the position.
func (t Takeover) waitForOffset(ctx context.Context, old *oldMaster, want redis.Position) error {
	return t.waitUntil(ctx, DrainTimeout, 2*time.Millisecond, func(own redis.Status) (bool, error) {
		return own.Position.ReplID == want.ReplID && own.Position.Offset >= want.Offset, verifySameRun(ctx, own, old.server, old.run)
	})
}

// waitUntil waits until our Redis is as it should be, or cannot become so any more. Redis tells nobody of its offset, so it is asked again and again.
func (t Takeover) waitUntil(ctx context.Context, bound, every time.Duration, done func(redis.Status) (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, bound)
	defer cancel()
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		own, err := t.Redis.Status(ctx)
		if err != nil {
			return err
		}
		if is, err := done(own); is || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("we did not catch up: offset %d of %.8s, linked %t: %w",
				own.Position.Offset, own.Position.ReplID, own.Streaming(), ctx.Err())
		case <-tick.C:
		}
	}
}
