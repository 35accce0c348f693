package elect

import (
	"context"
	"errors"
	"fmt"
	"time"

	"resec/commands/lock"
	"resec/handlers"
	"resec/handlers/redis"
)

// join makes our Redis a linked replica of the old master, where it is not, so that there is something to wait for.
func (p *passage) join(ctx context.Context, old *lock.Master, own, master redis.Status) error {
	if own.Linked() && own.Position.Lineage == master.Position.Lineage {
		return nil
	}
	if err := handlers.MayFollow(own, master, false); err != nil {
		return err
	}
	if err := p.Redis.Follow(ctx, old.Address); err != nil {
		return err
	}
	return p.until(ctx, joinFor, 10*time.Millisecond, func(own redis.Status) (bool, error) {
		return own.Linked(), same(ctx, own, p.old.server, p.old.run)
	})
}

// errRestarted is returned where our Redis was to take over data from a server that is gone, or is another run by now.
var errRestarted = errors.New("it is gone, or was restarted")

// same makes sure that our Redis takes nothing from another run than the one that is meant: with its link down it will reconnect,
// within a second, to whatever is there then, and that may be empty. Who watches the published master leaves it to us
// meanwhile.
func same(ctx context.Context, own redis.Status, from *redis.Server, run string) error {
	if own.Linked() {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, sealFor)
	defer cancel()
	if st, err := from.Status(ctx); redis.Refused(err) || err == nil && st.RunID != run {
		return errRestarted
	}
	return nil
}

// shelter parks our Redis where the old master, which it follows, is gone.
func (p *passage) shelter(ctx context.Context) {
	ctx = context.WithoutCancel(ctx)
	if same(ctx, redis.Status{}, p.old.server, p.old.run) == nil {
		return
	}
	if err := p.leave(ctx, p.old.addr); err != nil {
		p.Log.Error("the old master is gone, and our redis could not be parked", "addr", p.old.addr, "err", err)
	}
}

// leave parks our Redis, if it follows that address.
func (t Takeover) leave(ctx context.Context, addr string) error {
	own, err := t.Redis.Status(ctx)
	if err != nil || own.Master || own.Of != addr {
		return err
	}
	return t.Redis.Park(ctx)
}

// drain holds writes back on the old master, fences it behind that, waits until all it has is here, and parks it.
func (t Takeover) drain(ctx context.Context, old *superseded) error {
	if err := t.leased(); err != nil {
		return err
	}
	old.paused = true // also where the answer is lost: then it may have been done
	if err := old.server.Pause(ctx, pauseFor); err != nil {
		return err
	}
	t.Trace.step("paused")
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
	t.Trace.step("fenced")
	if st, err = old.server.Status(ctx); err != nil {
		return err
	}
	if err := t.reach(ctx, old, st.Position); err != nil {
		return err
	}
	t.Trace.step("drained")
	if err := t.confirm(ctx, old); err != nil {
		return err
	}
	if err := t.leased(); err != nil {
		return err
	}
	old.parked = true
	if err := old.server.Park(context.WithoutCancel(ctx)); err != nil { // waited for: from here on we are to lead
		return err
	}
	t.Trace.step("parked")
	return nil
}

// confirmFor bounds the last look at the lock: writes are held back meanwhile.
const confirmFor = 300 * time.Millisecond

// confirm asks Consul whether the lock is ours: from where the old master is parked nobody accepts writes until we are published.
// With Consul away it goes on as it was.
func (t Takeover) confirm(ctx context.Context, old *superseded) error {
	ctx, cancel := context.WithTimeout(ctx, confirmFor)
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

// reach waits until our Redis stands at the position.
func (t Takeover) reach(ctx context.Context, old *superseded, want redis.Position) error {
	return t.until(ctx, ReachFor, 2*time.Millisecond, func(own redis.Status) (bool, error) {
		return own.Position.Lineage == want.Lineage && own.Position.Offset >= want.Offset, same(ctx, own, old.server, old.run)
	})
}

// until waits until our Redis is as it should be, or cannot become so any more. Redis tells nobody of its offset, so it is asked again and again.
func (t Takeover) until(ctx context.Context, bound, every time.Duration, done func(redis.Status) (bool, error)) error {
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
				own.Position.Offset, own.Position.Lineage, own.Linked(), ctx.Err())
		case <-tick.C:
		}
	}
}
