package agent

import (
	"context"

	"resec/commands/catalog"
	"resec/handlers/redis"
)

// replicationConfig is what a run of our Redis was given that it needs as a replica.
type replicationConfig struct {
	run    string
	login  redis.Login
	failed string // why it could not be given, as it was logged
}

// keepReplicationConfig gives our Redis what it needs as a replica before it does: whoever makes it one may have no time. It is done for each
// run, and again when the password was changed: a link that ends then is to come back. Nothing is touched before the lock was seen,
// which may be another cluster's.
func (a *Agent) keepReplicationConfig(ctx context.Context) {
	service := a.Registrar.Naming.Name(catalog.Master)
	var has replicationConfig
	for ctx.Err() == nil {
		k, changed := a.known.Watch()
		if k.Probed && k.View.Index > 0 && k.View.Err == nil && k.View.CheckService(service) == nil {
			has = a.configureReplication(ctx, k.Health, has)
		}
		select {
		case <-ctx.Done():
		case <-changed:
		}
	}
}

func (a *Agent) configureReplication(ctx context.Context, h redis.Health, has replicationConfig) replicationConfig {
	if h.Err != nil || h.AccessErr != nil || has.run == h.Status.RunID && has.login == a.Creds.Replicating() {
		return has
	}
	want := replicationConfig{run: h.Status.RunID, login: a.Creds.Replicating()}
	if err := a.Redis.ConfigureReplication(ctx); err != nil {
		if has.failed != redis.Summary(err) {
			a.Log.Warn("redis could not be given what it needs as a replica; trying on", "err", err)
		}
		has.failed = redis.Summary(err)
		return has
	}
	return want
}
