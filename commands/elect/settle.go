package elect

import (
	"context"
	"errors"
	"time"

	"resec/commands/lock"
	"resec/handlers"
	"resec/handlers/redis"
)

// undo takes back what we did to the old master; a fence of somebody else's stays.
func (s *superseded) undo(ctx context.Context, within time.Duration) {
	if !s.paused {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, min(pauseFor, within))
	defer cancel()
	var lift error
	if s.fenced {
		_, lift = s.server.Lift(ctx)
	}
	if err := errors.Join(lift, s.server.Unpause(ctx)); err != nil {
		s.log.Error("the old master could not be let go; its own agent will", "addr", s.addr, "err", err)
		return
	}
	s.log.Warn("pause and fence of the old master are taken back", "addr", s.addr, "parked", s.parked)
}

// strangerFor is the longest pause before one is asked again who does not let us in.
const strangerFor = 10 * time.Second

// settle makes the old master a replica, in case its agent is not there to do it; one that was silent is fenced and parked
// as soon as it answers, for as long as we are the master.
func (s *superseded) settle(ctx context.Context, lease lock.Lease, addr string) {
	for pause := LookAgain; s.reached || s.silent; {
		err := s.subject(ctx, lease, addr)
		switch {
		case ctx.Err() != nil, err == nil:
			return
		case !s.silent:
			s.log.Warn("the old master could not be re-pointed; its own agent will", "addr", s.addr, "err", err)
			return
		case redis.Foreign(err): // somebody else, maybe, whose log is not to be flooded
			pause = min(2*pause, strangerFor)
		default:
			pause = LookAgain
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}

// subject makes the old master a replica. One that is gone is none.
func (s *superseded) subject(ctx context.Context, lease lock.Lease, addr string) error {
	st, err := s.server.Status(ctx)
	switch {
	case redis.Refused(err), err == nil && st.RunID != s.run && s.run != anyRun:
		return nil
	case err != nil:
		return err
	case lease.Left(time.Now()) == 0:
		return lock.ErrLease
	case st.Master:
		if err := errors.Join(s.server.Fence(ctx), s.server.Park(ctx)); err != nil {
			return err
		}
		s.log.Warn("the old master answers, and was one still: it is fenced and parked", "addr", s.addr)
	}
	if st.Master || st.Parked() {
		if err := s.server.Follow(ctx, addr); err != nil {
			return err
		}
	}
	return handlers.Settle(ctx, s.server)
}

func (s *superseded) close() {
	if s.server != nil {
		s.server.Close()
	}
}
