package localredis

import (
	"context"

	"resec/handlers"
)

// Follow makes the server a replica of the target. Its errors are those of handlers.Replicate. The mutex is taken once the
// target has answered and is confirmed, so that a slow server or Consul delays no other change of our Redis.
func (r *Redis) Follow(ctx context.Context, to handlers.Target) (handlers.Result, error) {
	confirm, locked := to.Confirm, false
	defer func() {
		if locked {
			r.mu.Unlock()
		}
	}()
	to.Confirm = func(ctx context.Context) error {
		if confirm != nil {
			if err := confirm(ctx); err != nil {
				return err
			}
		}
		r.mu.Lock()
		locked = true
		return nil
	}
	res, err := handlers.Replicate(ctx, r.server, to, r.creds)
	if locked && err == nil {
		clear(r.fences) // a replica has none
	}
	if res.Changed {
		r.ProbeSoon()
	}
	return res, err
}

// Park makes the server a replica of nothing: see redis.Sink. Its errors are those of redis.Server.Park.
func (r *Redis) Park(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	defer r.ProbeSoon()
	return r.server.Park(ctx)
}

// ParkIfFollowing parks the server if it follows that address and no term of ours is under way: a takeover parks by itself. It
// reports whether it parked, or tried to: with an error of redis.Server.Park it is true, with one of redis.Server.Status false.
func (r *Redis) ParkIfFollowing(ctx context.Context, addr string) (bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
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
	r.mu.Lock()
	defer r.mu.Unlock()
	defer r.ProbeSoon()
	return r.server.ReadOnly(ctx)
}
