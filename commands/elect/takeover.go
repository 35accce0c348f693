// Package elect makes one member's Redis the master: it contends for the lock, and takes over in one order whatever
// the cause.
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

// joinFor bounds how long the lock is kept for a sync with the old master, which goes on after it. catchUp bounds the
// wait for the last bytes. pauseFor bounds how long the old master's clients wait if we die meanwhile: it is longer
// than catchUp, so that a write that waits is answered by the successor's -READONLY and not let in before it.
const joinFor, pauseFor, catchUp = 10 * time.Second, 4 * time.Second, 2 * time.Second

// ErrLease is returned when the lease is over: a member without it sends no command to another's Redis.
var ErrLease = errors.New("the lease is over")

// Takeover is one member's way to be master, while it holds the lock.
type Takeover struct {
	Lock    lock.Lock
	Session string
	Lease   *lock.Lease
	Me      lock.Master // as published; the run id and the term are filled in
	Service string
	Redis   *redis.Server
	Creds   redis.Options
	Log     *slog.Logger
}

// Run ends the published master's reign, promotes, publishes and lets writes in. It returns the view after publishing.
// On an error the old master is as it was, and ours refuses writes.
func (t Takeover) Run(ctx context.Context, v lock.View) (lock.View, error) {
	own, err := t.Redis.Status(ctx)
	if err != nil {
		return v, err
	}
	old := v.State.Master
	if old != nil && old.RunID == own.RunID && own.Master && !own.Fenced() {
		return t.publish(ctx, v, own) // the master takes a lost lock again: nothing moves
	}
	gone, err := t.supersede(ctx, old, own)
	if err != nil {
		return v, err
	}
	defer gone.close()
	st, err := t.Redis.Promote(ctx)
	if err == nil {
		v, err = t.publish(ctx, v, st)
	}
	if err != nil {
		gone.undo(context.WithoutCancel(ctx))
		return v, err
	}
	if _, err := t.Redis.Lift(ctx); err != nil {
		return v, err
	}
	gone.repoint(ctx, v.State.Master.Address)
	return v, nil
}

// publish writes us as the master of the next term.
func (t Takeover) publish(ctx context.Context, v lock.View, st redis.Status) (lock.View, error) {
	me := t.Me
	me.RunID = st.RunID
	state := v.State.Publish(me, st.Position.Lineage, st.Position.Lineage2)
	state.Service = t.Service
	v, err := t.Lock.Write(ctx, t.Session, v, state)
	if err == nil && (v.State.Master == nil || v.State.Master.RunID != st.RunID) {
		err = lock.ErrMoved
	}
	return v, err
}

// superseded is an old master that no longer accepts writes; the zero value is one that is not there.
type superseded struct {
	server *redis.Server
	addr   string
	log    *slog.Logger
}

// supersede ends the published master's reign: nil error means that it accepts no writes, or is not to be found.
func (t Takeover) supersede(ctx context.Context, old *lock.Master, own redis.Status) (*superseded, error) {
	none := &superseded{log: t.Log}
	if old == nil || old.RunID == own.RunID || old.RunID == "" {
		return none, nil
	}
	if t.Lease.Left(time.Now()) == 0 {
		return nil, ErrLease
	}
	opt := t.Creds
	opt.Addr = old.Address
	server, err := redis.Open(opt)
	if err != nil {
		return nil, err
	}
	st, err := server.Status(ctx)
	if err != nil || st.RunID != old.RunID || !st.Master {
		server.Close()
		if redis.Silent(err) {
			t.Log.Warn("the old master is silent: whether it accepts writes is not known", "master", old.ID, "addr", old.Address, "err", err)
		}
		return none, nil
	}
	s := &superseded{server: server, addr: old.Address, log: t.Log}
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
	return t.until(ctx, joinFor, func(own redis.Status) bool { return own.Linked() })
}

// drain holds writes back on the old master, fences it behind that, waits until all it has is here, and parks it.
func (t Takeover) drain(ctx context.Context, old *superseded) error {
	if err := old.server.Pause(ctx, pauseFor); err != nil {
		return err
	}
	if err := old.server.Fence(ctx); err != nil {
		return err
	}
	st, err := old.server.Status(ctx)
	if err != nil {
		return err
	}
	if err := t.reach(ctx, st.Position); err != nil {
		return err
	}
	return old.server.Park(ctx)
}

// reach waits until our Redis stands at the position.
func (t Takeover) reach(ctx context.Context, want redis.Position) error {
	return t.until(ctx, catchUp, func(own redis.Status) bool {
		return own.Position.Lineage == want.Lineage && own.Position.Offset >= want.Offset
	})
}

// until waits until our Redis is as it should be. Redis tells nobody of its offset, so it is asked: each 2 ms.
func (t Takeover) until(ctx context.Context, bound time.Duration, done func(redis.Status) bool) error {
	ctx, cancel := context.WithTimeout(ctx, bound)
	defer cancel()
	tick := time.NewTicker(2 * time.Millisecond)
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

// undo leaves the old master as it was found: writable.
func (s *superseded) undo(ctx context.Context) {
	if s.server == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, pauseFor)
	defer cancel()
	_, err := s.server.Lift(ctx)
	if err := errors.Join(err, s.server.Unpause(ctx)); err != nil {
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
