package takeover

import (
	"context"
	"errors"
	"time"

	"resec/commands/lock"
	"resec/handlers"
	"resec/handlers/redis"
)

// rollback undoes what this takeover did to the old master. A fence that was there before stays.
func (s *oldMaster) rollback(ctx context.Context, within time.Duration) {
	if !s.paused && !s.fenced {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, min(clientPauseTimeout, within))
	defer cancel()
	var unfence error
	if s.fenced {
		_, unfence = s.server.Unfence(ctx)
	}
	var unpause error
	if s.paused {
		unpause = s.server.Unpause(ctx)
	}
	if err := errors.Join(unfence, unpause); err != nil {
		s.log.Error("rollback failed: the old master may stay paused for some seconds, or fenced until its agent recovers it",
			"event", "rollback_failed", "addr", s.addr, "err", err)
		return
	}
	s.log.Warn("takeover failed: pause and fence of the old master are removed",
		"event", "old_master_rolled_back", "addr", s.addr, "parked", s.parked)
}

// demoteUntilDone makes the old master a replica, in case its agent is not alive to do it. If it was unreachable it is fenced
// and parked as soon as it answers, until the context ends. What answers at its address in its place is left alone.
func (s *oldMaster) demoteUntilDone(ctx context.Context, lease lock.Lease, addr string) {
	if !s.answered && !s.unreachable || s.elsewhere {
		return
	}
	for wait := ProbeInterval; ; {
		err := s.demoteOnce(ctx, lease, addr)
		if ctx.Err() != nil || err == nil {
			return
		}
		if !s.unreachable {
			s.log.Warn("the old master could not be made a replica; its own agent will do so",
				"event", "demote_failed", "addr", s.addr, "err", err)
			return
		}
		wait = nextDemotionRetry(wait, err)
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
}

// demoteOnce makes the old master a replica of addr. It returns nil if the old master is down or was restarted, and
// lock.ErrLease if the lease is over.
func (s *oldMaster) demoteOnce(ctx context.Context, lease lock.Lease, addr string) error {
	st, err := s.server.Status(ctx)
	next := demotionVerdict(st, err, s.run)
	if next == demotionDone {
		return nil
	}
	if next == demotionFailed {
		return err
	}
	if lease.Left(time.Now()) == 0 {
		return lock.ErrLease
	}
	if next == demotePark {
		errFence, errPark := s.server.Fence(ctx), s.server.Park(ctx)
		if errFence == nil && redis.CommandRefused(errPark) { // its clients look for the new master; its fence stays
			s.log.Warn("the old master refuses to be parked; it stays fenced, and its clients are disconnected",
				"event", "demote_refused", "addr", s.addr, "err", errPark)
			_, err := s.server.Disconnect(ctx)
			return errors.Join(s.server.Unpause(ctx), err)
		}
		if err := errors.Join(errFence, errPark); err != nil {
			return err
		}
		s.log.Warn("the old master answers and was still a master; it is fenced and parked",
			"event", "old_master_demoted", "addr", s.addr)
	}
	if next != demoteCleanUp && !st.WriteEndsReplica {
		if err := s.server.Follow(ctx, addr); err != nil {
			return err
		}
	}
	return handlers.CleanUpFormerMaster(ctx, s.server)
}
