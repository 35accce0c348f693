package elect

import (
	"context"
	"errors"
	"time"

	"resec/commands/lock"
	"resec/handlers/redis"
)

// errRejects is returned where nothing but the network can have refused us.
var errRejects = errors.New("it refuses us, and our redis is linked to it: the network rejects; `resec failover -to ID -force` overrides")

// unlinked makes sure that our Redis has lost its link to a master at whose address nothing listens: it ends with the master.
func (p *passage) unlinked(ctx context.Context, old *lock.Master) error {
	if p.Force != nil {
		return nil
	}
	if err := p.until(ctx, Brief, 5*time.Millisecond, func(own redis.Status) (bool, error) {
		return own.Master || own.Of != old.Address || !own.Linked(), nil
	}); errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		return errRejects
	} else if err != nil {
		return err
	}
	return nil
}
