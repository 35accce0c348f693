package takeover

import (
	"context"
	"errors"
	"time"

	"resec/commands/lock"
	"resec/handlers"
	"resec/handlers/redis"
)

// rollback takes back what we did to the old master; a fence of somebody else's stays.
func (s *oldMaster) rollback(ctx context.Context, within time.Duration) {
	if !s.paused {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, min(clientPauseTimeout, within))
	defer cancel()
	var lift error
	if s.fenced {
		_, lift = s.server.Unfence(ctx)
	}
	if err := errors.Join(lift, s.server.Unpause(ctx)); err != nil {
		s.log.Error("the old master could not be let go; its own agent will", "addr", s.addr, "err", err)
		return
	}
	s.log.Warn("pause and fence of the old master are taken back", "addr", s.addr, "parked", s.parked)
}

// maxDeniedRetry is the longest pause before one is asked again who does not let us in.
const maxDeniedRetry = 10 * time.Second

// demoteUntilDone makes the old master a replica, in case its agent is not there to do it; one that was silent is fenced and parked
// as soon as it answers, for as long as we are the master.
func (s *oldMaster) demoteUntilDone(ctx context.Context, lease lock.Lease, addr string) {
	for pause := ProbeInterval; s.answered || s.unreachable; {
		err := s.demoteOnce(ctx, lease, addr)
		switch {
		case ctx.Err() != nil, err == nil:
			return
		case !s.unreachable:
			s.log.Warn("the old master could not be re-pointed; its own agent will", "addr", s.addr, "err", err)
			return
		case redis.AccessDenied(err): // somebody else, maybe, whose log is not to be flooded
			pause = min(2*pause, maxDeniedRetry)
		default:
			pause = ProbeInterval
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}

// demoteOnce makes the old master a replica. One that is gone is none.
func (s *oldMaster) demoteOnce(ctx context.Context, lease lock.Lease, addr string) error {
	st, err := s.server.Status(ctx)
	switch {
	case redis.Refused(err), err == nil && st.RunID != s.run && s.run != anyInstance:
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
	return handlers.CleanUpFormerMaster(ctx, s.server)
}

func (s *oldMaster) close() {
	if s.server != nil {
		s.server.Close()
	}
}
