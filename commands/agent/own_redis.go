package agent

import (
	"context"

	"resec/handlers/redis"
)

// ownRedis is our Redis as a takeover changes it, while setLeading says that one is under way.
type ownRedis struct{ l *localRedis }

func (o ownRedis) Addr() string { return o.l.addr() }

func (o ownRedis) Status(ctx context.Context) (redis.Status, error) { return o.l.status(ctx) }

func (o ownRedis) Promote(ctx context.Context) (redis.Status, error) {
	o.l.mu.Lock()
	defer o.l.mu.Unlock()
	return o.l.server.Promote(ctx)
}

func (o ownRedis) SetGuard(ctx context.Context, replicas, maxLag int) error {
	o.l.mu.Lock()
	defer o.l.mu.Unlock()
	err := o.l.server.SetGuard(ctx, replicas, maxLag)
	if err == nil {
		clear(o.l.fences)
	}
	return err
}

func (o ownRedis) Park(ctx context.Context) error {
	o.l.mu.Lock()
	defer o.l.mu.Unlock()
	return o.l.server.Park(ctx)
}

func (o ownRedis) Follow(ctx context.Context, addr string) error {
	o.l.mu.Lock()
	defer o.l.mu.Unlock()
	return o.l.server.Follow(ctx, addr)
}

func (o ownRedis) Unpause(ctx context.Context) error {
	o.l.mu.Lock()
	defer o.l.mu.Unlock()
	return o.l.server.Unpause(ctx)
}
