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
func (t Takeover) supersede(ctx context.Context, old *lock.Master, own redis.Status) (*superseded, error) {
	none := &superseded{log: t.Log}
	if old == nil && own.Linked() { // Consul has lost its data, and our Redis knows its master still
		old = &lock.Master{Peer: handlers.Peer{ID: own.Of, Address: own.Of, RunID: anyRun}}
	}
	if old == nil || old.RunID == own.RunID || old.RunID == "" {
		return none, nil
	}
	// No command to another's Redis once the lease is over.
	ctx, cancel := t.Session.Lease.Context(ctx)
	defer cancel()
	opt := t.Creds
	opt.Addr = old.Address
	server, err := redis.Open(ctx, opt)
	if err != nil {
		return nil, err
	}
	s := &superseded{server: server, addr: old.Address, log: t.Log}
	st, err := server.Status(ctx)
	switch {
	case ctx.Err() != nil: // silence is ours, then
		s.close()
		return nil, context.Cause(ctx)
	case err == nil && (st.RunID == old.RunID || old.RunID == anyRun) && st.Master:
	case err == nil, redis.Refused(err):
		s.close()
		return none, nil
	case redis.Silent(err):
		t.Log.Warn("the old master is silent: whether it accepts writes is not known", "master", old.ID, "addr", old.Address, "err", err)
		s.close()
		return none, nil
	default: // it lives, and would go on taking writes
		s.close()
		return nil, fmt.Errorf("take over from %s at %s: %w", old.ID, old.Address, err)
	}
	if err = t.join(ctx, old, own, st); err == nil {
		err = t.drain(ctx, s)
	}
	if err != nil {
		s.undo(context.WithoutCancel(ctx))
		s.close()
		return nil, fmt.Errorf("take over from %s at %s: %w", old.ID, old.Address, err)
	}
	t.Log.Info("the old master is parked, and nothing of it is missing here", "master", old.ID, "addr", old.Address)
	return s, nil
}

// join makes our Redis a linked replica of the old master, where it is not, so that there is something to wait for.
func (t Takeover) join(ctx context.Context, old *lock.Master, own, master redis.Status) error {
	if own.Linked() && own.Position.Lineage == master.Position.Lineage {
		return nil
	}
	if err := handlers.MayFollow(own, master); err != nil {
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
func (s *superseded) undo(ctx context.Context) {
	if s.server == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, pauseFor)
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
