package elect

import (
	"context"
	"errors"
	"time"

	"resec/commands/cluster"
	"resec/commands/lock"
	"resec/commands/logonce"
	"resec/handlers"
	"resec/handlers/redis"
)

// followPlace keeps where this member is until the context ends.
func (e *Election) followPlace(ctx context.Context) {
	e.Place.Own = func() redis.Health { return e.known.Load().Health }
	e.Place.Moved = func(p cluster.Place) { e.known.Update(func(k *snapshot) { k.place = p }) }
	e.Place.Run(ctx)
}

// me is this member as it is published now.
func (e *Election) me() cluster.Master {
	return cluster.Snapshot{Place: e.known.Load().place}.Announced(e.Me)
}

// keepPublished keeps state and catalogue as they should be until the context ends: where this member is, and whether our Redis
// takes writes. It is the same instance, so the term stays.
func (e *Election) keepPublished(ctx context.Context, s *lock.Session, reg *registration) {
	var failing logonce.Once
	for ctx.Err() == nil {
		k, changed := e.known.Watch()
		if k.Health.Err == nil {
			reg.show(k.Health.Status, k.place)
		}
		var retry <-chan time.Time
		if state := k.View.State.WithMasterAt(e.me()); k.Fresh && k.View.Session == s.ID && state.Master != k.View.State.Master {
			v, err := e.Lock.Write(ctx, s.ID, k.View, state)
			switch {
			case err == nil:
				failing.Reset()
				e.observer.Wrote(v)
				continue
			case ctx.Err() == nil && !errors.Is(err, lock.ErrChanged) && failing.Changed(lock.ErrorKind(err)):
				e.Log.Warn("cannot write the new address of the master into the state, retrying", "event", "address_not_written",
					"addr", state.Master.Address, "err", err)
			}
			retry = time.After(verifyRetry)
		}
		select {
		case <-ctx.Done():
		case <-retry:
		case <-changed:
		}
	}
}

// readCatalog reads the catalogue's entries of the cluster.
func (e *Election) readCatalog(ctx context.Context) ([]handlers.Entry, error) {
	return e.Naming.Instances(ctx, e.Lock.Client)
}
