package agent

import (
	"context"
	"errors"

	"resec/commands/catalog"
	"resec/commands/lock"
	"resec/commands/watch"
)

// keepUnique demotes who is listed as a master beside us, for as long as the lock is ours. The one before us was demoted as we were
// published; but the Consul agent beside it, which was told of a master last, tells its servers so again where it compares
// notes with them, or has just been on its way, and a dead agent takes nothing back.
func (a *Agent) keepUnique(ctx context.Context, session string) {
	said := ""
	params := map[string]any{"type": "service", "service": a.Registrar.Naming.Name(catalog.Master), "passingonly": true}
	err := watch.Run(ctx, a.Lock.Client, params, func(_ uint64, answer any) {
		entries, err := catalog.Entries(answer)
		if err == nil {
			for _, op := range a.Registrar.Naming.Demoting(entries, a.Me.Node, a.Me.ServiceID) {
				a.Log.Warn("another is listed as a master: it is demoted", "node", op.Service.Node, "service", op.Service.Service.ID)
				if e := a.Lock.Beside(ctx, session, op); !errors.Is(e, lock.ErrMoved) { // or the lock has, or the entry: then there is more to come
					err = errors.Join(err, e)
				}
			}
		}
		if err != nil && ctx.Err() == nil && err.Error() != said {
			a.Log.Warn("another's master entry stays in the catalogue", "err", err)
			said = err.Error()
		}
	}, func(error) {}) // the watch on the lock says so
	if err != nil && ctx.Err() == nil {
		a.Log.Error("who is listed as a master cannot be watched", "err", err)
	}
}
