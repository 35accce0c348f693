package localredis

import (
	"context"
	"errors"
	"fmt"
	"time"

	"resec/commands/takeover"
	"resec/handlers"
	"resec/handlers/redis"
)

// ErrConfirmedTooLongAgo is returned by Follow if another change of the server took too long after the target was confirmed.
var ErrConfirmedTooLongAgo = errors.New("redis was being changed for too long after the master had been confirmed")

// Follow makes the server a replica of the target. The change begins once the target has answered and is confirmed, so that a
// slow server or Consul delays no other change of our Redis. If it begins later than takeover.FollowConfirmTimeout after the
// confirmation was asked for, Follow returns ErrConfirmedTooLongAgo: a takeover relies on that limit. The server's own status is
// read before the change: if it is parked meanwhile, Follow may change nothing, and the next call does. Its other errors are
// those of handlers.Replicate.
func (r *Redis) Follow(ctx context.Context, to handlers.Target) (handlers.Result, error) {
	confirm := to.Confirm
	var end func() // nil: the change has not begun
	defer func() {
		if end != nil {
			end()
		}
	}()
	to.Confirm = func(ctx context.Context) (err error) {
		asked := time.Now()
		if confirm != nil {
			if err := confirm(ctx); err != nil {
				return err
			}
		}
		if end, err = r.begin(ctx); err == nil && time.Since(asked) > takeover.FollowConfirmTimeout {
			err = ErrConfirmedTooLongAgo
		}
		return err
	}
	res, err := handlers.Replicate(ctx, r.server, to, r.creds)
	if end != nil && err == nil {
		clear(r.fences) // a replica has none
	}
	if res.Changed {
		r.ProbeSoon()
	}
	return res, err
}

// Park makes the server a replica of nothing: see redis.Sink. A master that refuses the command is fenced instead, so that it
// takes no writes; that is an error, too. Its errors are those of redis.Server.Park.
func (r *Redis) Park(ctx context.Context) error {
	end, err := r.begin(ctx)
	if err != nil {
		return err
	}
	defer end()
	defer r.ProbeSoon()
	err = r.server.Park(ctx)
	if !redis.CommandRefused(err) {
		return err
	}
	st, statusErr := r.server.Status(ctx)
	if statusErr != nil || !st.Master {
		return errors.Join(err, statusErr)
	}
	if fenceErr := r.addFence(ctx, fencedUnparked); fenceErr != nil {
		return errors.Join(err, fenceErr)
	}
	return fmt.Errorf("it is fenced instead: %w", err)
}

// ParkIfFollowing parks the server if it follows that address and no term of ours is under way: a takeover parks by itself. It
// reports whether it parked, or tried to: with an error of redis.Server.Park it is true, with one of redis.Server.Status false.
func (r *Redis) ParkIfFollowing(ctx context.Context, addr string) (bool, error) {
	end, err := r.begin(ctx)
	if err != nil {
		return false, err
	}
	defer end()
	if r.leading.Load() {
		return false, nil
	}
	st, err := r.server.Status(ctx)
	if err != nil || st.Master || st.MasterAddr != addr {
		return false, err
	}
	defer r.ProbeSoon()
	return true, r.server.Park(ctx)
}

// SetReadOnly makes the server refuse writes while it is a replica. Its errors are those of redis.Server.ReadOnly.
func (r *Redis) SetReadOnly(ctx context.Context) error {
	end, err := r.begin(ctx)
	if err != nil {
		return err
	}
	defer end()
	defer r.ProbeSoon()
	return r.server.ReadOnly(ctx)
}
