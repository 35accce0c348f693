package elect

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"resec/commands/lock"
	"resec/handlers"
	"resec/handlers/redis"
)

// superseded is an old master that no longer accepts writes; the zero value is one that is not there.
type superseded struct {
	server *redis.Server
	addr   string
	log    *slog.Logger

	paused, fenced bool // by us
}

// anyRun stands for the run of a master that is known by our link to it.
const anyRun = "any"

// supersede ends the published master's reign: nil error means that it accepts no writes, or does not answer.
func (p *passage) supersede(ctx context.Context, v lock.View, own redis.Status) error {
	old := v.State.Master
	if old == nil && own.Linked() { // Consul has lost its data, and our Redis knows its master still
		old = &lock.Master{Peer: handlers.Peer{ID: own.Of, Address: own.Of, RunID: anyRun}}
	}
	if old == nil || old.RunID == own.RunID || old.RunID == "" {
		return nil
	}
	opt := p.Creds
	opt.Addr = old.Address
	server, err := redis.Open(ctx, opt)
	if err != nil {
		return err
	}
	defer func() {
		if p.old.server == nil {
			server.Close()
		}
	}()
	st, err := server.Status(ctx)
	switch {
	case ctx.Err() != nil: // silence is ours, then
		return context.Cause(ctx)
	case err == nil && (st.RunID == old.RunID || old.RunID == anyRun) && st.Master:
		p.old.server, p.old.addr = server, old.Address
	case err == nil && st.RunID == old.RunID && !p.Record: // parked before, it may still be the freshest; else it is recorded
		m := &sealed{Other: Other{ID: old.ID, Address: old.Address, Session: v.Members[old.ID].Session}}
		m.err = p.park(ctx, v, m)
		p.sealed = append(p.sealed, m)
		return nil
	case err == nil, redis.Refused(err):
		return nil
	case redis.Silent(err):
		p.Log.Warn("the old master is silent: whether it accepts writes is not known", "master", old.ID, "addr", old.Address, "err", err)
		return nil
	default: // it lives, and would go on taking writes
		return fmt.Errorf("take over from %s at %s: %w", old.ID, old.Address, err)
	}
	if err := p.end(ctx, old, own, st); err != nil {
		return fmt.Errorf("take over from %s at %s: %w", old.ID, old.Address, err)
	}
	return nil
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
	old.paused = true // also where the answer is lost: then it may have been done
	if err := old.server.Pause(ctx, pauseFor); err != nil {
		return err
	}
	st, err := old.server.Status(ctx)
	if err != nil {
		return err
	}
	old.fenced = !st.Fenced()
	if err := old.server.Fence(ctx); err != nil {
		return err
	}
	if st, err = old.server.Status(ctx); err != nil {
		return err
	}
	if err := t.reach(ctx, st.Position); err != nil {
		return err
	}
	return old.server.Park(ctx)
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

// undo takes back what we did to the old master; a fence of somebody else's stays.
func (s *superseded) undo(ctx context.Context, within time.Duration) {
	if s.server == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, min(pauseFor, within))
	defer cancel()
	var lift, unpause error
	if s.fenced {
		_, lift = s.server.Lift(ctx)
	}
	if s.paused {
		unpause = s.server.Unpause(ctx)
	}
	if err := errors.Join(lift, unpause); err != nil {
		s.log.Error("the old master could not be let go; its own agent will", "addr", s.addr, "err", err)
	}
}

// repoint makes a parked old master a replica, in case its agent is not there to do it.
func (s *superseded) repoint(ctx context.Context, addr string) {
	if s.server == nil {
		return
	}
	own, err := s.server.Status(ctx)
	if err == nil && own.Parked() {
		err = s.server.Follow(ctx, addr)
	}
	if err == nil {
		err = handlers.Settle(ctx, s.server)
	}
	if err != nil {
		s.log.Warn("the old master could not be re-pointed; its own agent will", "addr", s.addr, "err", err)
	}
}

func (s *superseded) close() {
	if s.server != nil {
		s.server.Close()
	}
}
