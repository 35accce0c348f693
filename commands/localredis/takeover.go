package localredis

import (
	"context"

	"resec/commands/takeover"
	"resec/handlers/redis"
)

// ForTakeover is the server as a takeover changes it. It may be used only between BeginLeading and EndLeading.
func (r *Redis) ForTakeover() takeover.OwnRedis { return ownRedis{r} }

// ownRedis makes each change of a takeover one step.
type ownRedis struct{ r *Redis }

func (o ownRedis) Addr() string { return o.r.Addr() }

func (o ownRedis) Status(ctx context.Context) (redis.Status, error) { return o.r.Status(ctx) }

func (o ownRedis) Promote(ctx context.Context) (redis.Status, error) {
	end, err := o.r.begin(ctx)
	if err != nil {
		return redis.Status{}, err
	}
	defer end()
	return o.r.server.Promote(ctx)
}

func (o ownRedis) SetGuard(ctx context.Context, replicas, maxLag int) error {
	end, err := o.r.begin(ctx)
	if err != nil {
		return err
	}
	defer end()
	err = o.r.server.SetGuard(ctx, replicas, maxLag)
	if err == nil {
		clear(o.r.fences)
	}
	return err
}

func (o ownRedis) Park(ctx context.Context) error {
	end, err := o.r.begin(ctx)
	if err != nil {
		return err
	}
	defer end()
	return o.r.server.Park(ctx)
}

func (o ownRedis) Follow(ctx context.Context, addr string) error {
	end, err := o.r.begin(ctx)
	if err != nil {
		return err
	}
	defer end()
	return o.r.server.Follow(ctx, addr)
}

func (o ownRedis) Unpause(ctx context.Context) error {
	end, err := o.r.begin(ctx)
	if err != nil {
		return err
	}
	defer end()
	return o.r.server.Unpause(ctx)
}
