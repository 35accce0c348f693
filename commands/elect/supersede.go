package elect

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"resec/commands/crash"
	"resec/commands/lock"
	"resec/handlers"
	"resec/handlers/redis"
)

// superseded is an old master that no longer accepts writes; the zero value is one that is not there.
type superseded struct {
	server *redis.Server
	addr   string
	run    string
	log    *slog.Logger

	reached        bool // it has answered, and was master
	silent         bool // it has not, and is to be fenced and parked when it does
	paused, fenced bool // by us
}

// Brief is how long a master is waited for that its own agent calls dead or frozen.
const Brief = 50 * time.Millisecond

// anyRun stands for the run of a master that is known by our link to it.
const anyRun = "any"

// supersede ends the published master's reign: nil error means that it accepts no writes.
func (p *passage) supersede(ctx context.Context, v lock.View, own redis.Status) error {
	old := v.State.Master
	if old == nil && own.Linked() { // Consul has lost its data, and our Redis knows its master still
		old = &lock.Master{Peer: handlers.Peer{ID: own.Of, Address: own.Of, RunID: anyRun}}
	}
	if old == nil || old.RunID == own.RunID || old.RunID == "" {
		return nil
	}
	if err := p.overcome(ctx, v, old, own); err != nil {
		return fmt.Errorf("take over from %s at %s: %w", old.ID, old.Address, err)
	}
	return nil
}

// overcome asks the old master until it has answered, is known to be gone, or is proven to be closed.
func (p *passage) overcome(ctx context.Context, v lock.View, old *lock.Master, own redis.Status) (err error) {
	opt := p.Creds
	opt.Addr = old.Address
	if p.old.server, err = redis.Open(ctx, opt); err != nil {
		return err
	}
	p.old.addr, p.old.run = old.Address, old.RunID
	var proof evidence
	for {
		st, err := p.look(ctx, v.State.GivenUp(old.ID))
		switch {
		case ctx.Err() != nil: // silence is ours, then
			return context.Cause(ctx)
		case err == nil && (st.RunID == old.RunID || old.RunID == anyRun) && st.Master:
			p.old.reached = true
			return p.end(ctx, old, own, st)
		case err == nil: // a replica, or another run: it may still be the freshest
			m := &sealed{Other: Other{ID: old.ID, Address: old.Address, Session: v.Members[old.ID].Session}}
			m.err = p.park(ctx, v, m)
			p.sealed = append(p.sealed, m)
			return nil
		case redis.Refused(err):
			return nil
		case !redis.Silent(err): // it lives, and would go on taking writes
			return err
		}
		if closed, again := p.await(ctx, v, old, &proof); again != nil {
			return again
		} else if closed {
			return nil
		}
		if own, err = p.Redis.Status(ctx); err != nil { // where it answers after all
			return err
		}
	}
}

// look asks the old master; one that its own agent has given up for a moment only.
func (p *passage) look(ctx context.Context, given bool) (redis.Status, error) {
	if given {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, Brief)
		defer cancel()
	}
	return p.old.server.Status(ctx)
}

// end parks a master that answers, once nothing of it is missing here; an operator's force does not wait for what we were
// not receiving.
func (p *passage) end(ctx context.Context, old *lock.Master, own, st redis.Status) error {
	if p.Force != nil && !(own.Linked() && own.Position.Lineage == st.Position.Lineage) {
		p.Log.Warn("the old master is parked, by force: what it has is missing here", "master", old.ID, "addr", old.Address)
		return p.old.server.Park(ctx)
	}
	if err := p.join(ctx, old, own, st); err != nil {
		return err
	}
	if err := p.drain(ctx, p.old); err != nil {
		return err
	}
	p.Log.Info("the old master is parked, and nothing of it is missing here", "master", old.ID, "addr", old.Address)
	return nil
}

// join makes our Redis a linked replica of the old master, where it is not, so that there is something to wait for.
func (t Takeover) join(ctx context.Context, old *lock.Master, own, master redis.Status) error {
	if own.Linked() && own.Position.Lineage == master.Position.Lineage {
		return nil
	}
	if err := handlers.MayFollow(own, master, false); err != nil {
		return err
	}
	if err := t.Redis.Follow(ctx, old.Address); err != nil {
		return err
	}
	return t.until(ctx, joinFor, 50*time.Millisecond, func(own redis.Status) bool { return own.Linked() })
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
	crash.At("paused")
	st, err := old.server.Status(ctx)
	if err != nil {
		return err
	}
	old.fenced = !st.Fenced()
	if err := old.server.Fence(ctx); err != nil {
		return err
	}
	crash.At("fenced")
	if st, err = old.server.Status(ctx); err != nil {
		return err
	}
	if err := t.reach(ctx, st.Position); err != nil {
		return err
	}
	crash.At("drained")
	if err := t.leased(); err != nil {
		return err
	}
	if err := old.server.Park(ctx); err != nil {
		return err
	}
	crash.At("parked")
	return nil
}

// reach waits until our Redis stands at the position.
func (t Takeover) reach(ctx context.Context, want redis.Position) error {
	return t.until(ctx, catchUp, 2*time.Millisecond, func(own redis.Status) bool {
		return own.Position.Lineage == want.Lineage && own.Position.Offset >= want.Offset
	})
}

// until waits until our Redis is as it should be. Redis tells nobody of its offset, so it is asked again and again.
func (t Takeover) until(ctx context.Context, bound, every time.Duration, done func(redis.Status) bool) error {
	ctx, cancel := context.WithTimeout(ctx, bound)
	defer cancel()
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		own, err := t.Redis.Status(ctx)
		if err != nil {
			return err
		}
		if done(own) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("we did not catch up: offset %d of %.8s, linked %t: %w",
				own.Position.Offset, own.Position.Lineage, own.Linked(), ctx.Err())
		case <-tick.C:
		}
	}
}
