package agent

import (
	"context"
	"errors"
	"slices"
	"time"

	"resec/commands/catalog"
	"resec/commands/cluster"
	"resec/commands/lock"
	"resec/commands/watch"
	"resec/handlers"
)

// watchStaleMasters demotes who is listed as a master beside us, for as long as the lock is ours. The one before us was demoted as we were
// published; but the Consul agent beside it, which was told of a master last, tells its servers so again where it compares
// notes with them, or has just been on its way, and a dead agent takes nothing back.
func (a *Agent) watchStaleMasters(ctx context.Context, r cluster.Term) {
	params := map[string]any{"type": "service", "service": a.Registrar.Naming.Name(catalog.Master), "passingonly": true}
	err := watch.Run(ctx, a.Lock.Client, params, func(_ uint64, answer any) {
		entries, err := catalog.Entries(answer)
		if err != nil {
			a.Log.Error("who is listed as a master cannot be read", "err", err)
			return
		}
		for said := false; ; said = true {
			err := a.demoteStale(ctx, entries, r)
			if err == nil || errors.Is(err, lock.ErrDenied) && said || ctx.Err() != nil {
				return
			}
			if !said {
				a.Log.Warn("another's master entry stays in the catalogue; trying on", "err", err)
			}
			select {
			case <-ctx.Done():
			case <-time.After(minStepRetry):
			}
		}
	}, func(error) {}) // the watch on the lock says so
	if err != nil && ctx.Err() == nil {
		a.Log.Error("who is listed as a master cannot be watched", "err", err)
	}
}

// demoteStale demotes those of a cluster's members who are listed as the master of an earlier term.
func (a *Agent) demoteStale(ctx context.Context, entries []handlers.Entry, r cluster.Term) (err error) {
	v := a.known.Load().View
	old := slices.DeleteFunc(slices.Clone(entries), func(e handlers.Entry) bool {
		_, recorded := v.State.Members[e.ID()]
		_, present := v.LiveAgents[e.ID()]
		return e.Term() >= r.Number || !recorded && !present
	})
	for _, op := range a.Registrar.Naming.DemoteOps(old, a.Me.Node, a.Me.ServiceID) {
		e := a.Lock.TxnIfHeld(ctx, r.Session, op)
		if errors.Is(e, lock.ErrChanged) { // the lock has, or the entry: then there is more to come
			e = nil
		} else if e == nil {
			a.Log.Warn("a master of before was listed again: it is demoted", "node", op.Service.Node, "service", op.Service.Service.ID)
		}
		err = errors.Join(err, e)
	}
	return err
}
