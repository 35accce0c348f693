package agent

import (
	"context"

	"resec/commands/catalog"
	"resec/handlers/redis"
)

// equipment is what a run of our Redis was given that it needs as a replica.
type equipment struct {
	run    string
	login  redis.Login
	failed string // why it could not be given, as it was logged
}

// keepEquipped gives our Redis what it needs as a replica before it does: whoever makes it one may have no time. It is done for each
// run, and again when the password was changed: a link that ends then is to come back. Nothing is touched before the lock was seen,
// which may be another cluster's.
func (a *Agent) keepEquipped(ctx context.Context) {
	service := a.Registrar.Naming.Name(catalog.Master)
	var has equipment
	for ctx.Err() == nil {
		k, changed := a.board.Wait()
		if k.seen && k.view.Index > 0 && k.view.Err == nil && k.view.Belongs(service) == nil {
			has = a.equip(ctx, k.health, has)
		}
		select {
		case <-ctx.Done():
		case <-changed:
		}
	}
}

func (a *Agent) equip(ctx context.Context, h redis.Health, has equipment) equipment {
	if h.Err != nil || h.Denied != nil || has.run == h.Status.RunID && has.login == a.Creds.Replicating() {
		return has
	}
	want := equipment{run: h.Status.RunID, login: a.Creds.Replicating()}
	if err := a.Redis.Equip(ctx); err != nil {
		if has.failed != redis.Why(err) {
			a.Log.Warn("redis could not be given what it needs as a replica; trying on", "err", err)
		}
		has.failed = redis.Why(err)
		return has
	}
	return want
}
