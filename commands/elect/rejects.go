package elect

import (
	"context"
	"errors"
	"time"

	"resec/commands/lock"
)

// errRejects is returned where our Redis says that the master lives at whose address nobody lets us in.
var errRejects = errors.New("it refuses us, and our redis is linked to it: the network rejects; `resec failover -to ID -force` overrides")

// unlinkFor is how long a link may outlive the listener of a Redis that ends: the kernel frees its memory before it closes its
// connections.
const unlinkFor = 500 * time.Millisecond

// unlinked makes sure that our Redis has lost its link to a master that refuses us: the link ends with the master. Where that
// master's own agent has found it dead nothing is left to be asked.
func (p *passage) unlinked(ctx context.Context, v lock.View, old *lock.Master) error {
	if p.Force != nil || v.State.GivenUp(old.ID) {
		return nil
	}
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(unlinkFor); ; <-tick.C {
		own, err := p.Redis.Status(ctx)
		switch {
		case err != nil:
			return err
		case own.Master || own.Of != old.Address || !own.Linked():
			return nil
		case time.Now().After(end):
			return errRejects
		}
	}
}
