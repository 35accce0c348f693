package localredis

import (
	"context"

	"resec/commands/known"
	"resec/commands/logonce"
	"resec/handlers/redis"
)

// KeepReplicationConfig gives the server what it needs as a replica before it is one: a takeover that makes it a replica has no
// time. It does so for each instance, and again when the password was changed: a link that ends then must come back. It waits
// until the lock was read and its state is that of masterService, the name of the master's service: the lock may be another
// cluster's. It returns when the context ends, and logs what fails. An agent runs it in one goroutine.
func (r *Redis) KeepReplicationConfig(ctx context.Context, snapshot *known.Value, masterService string) {
	var has replicationConfig
	for ctx.Err() == nil {
		k, changed := snapshot.Watch()
		if mayConfigure(k, masterService) {
			has = r.updateReplicationConfig(ctx, k.Health, has)
		}
		select {
		case <-ctx.Done():
		case <-changed:
		}
	}
}

// mayConfigure reports whether our Redis is known to be of the cluster of that master's service.
func mayConfigure(k known.Snapshot, masterService string) bool {
	return k.Probed && k.Fresh && k.View.Err == nil && k.View.CheckService(masterService) == nil
}

// replicationConfig is what an instance of our Redis was given that it needs as a replica.
type replicationConfig struct {
	runID  string
	login  redis.Login
	failed logonce.Once // why it could not be given
}

// updateReplicationConfig configures the instance, unless it has all that it needs, and returns what it has then.
func (r *Redis) updateReplicationConfig(ctx context.Context, h redis.Health, has replicationConfig) replicationConfig {
	want := replicationConfig{runID: h.Status.RunID, login: r.creds.Replicating()}
	if h.Err != nil || h.AccessErr != nil || has.runID == want.runID && has.login == want.login {
		return has
	}
	err := r.configureReplication(ctx)
	if err == nil {
		return want
	}
	if has.failed.Changed(redis.Summary(err)) {
		r.log.Warn("cannot configure replication on redis, retrying", "event", "replication_config_failed",
			"redis", r.Addr(), "err", err)
	}
	return has
}

// configureReplication gives the server what its link to a master will need.
func (r *Redis) configureReplication(ctx context.Context) error {
	end, err := r.begin(ctx)
	if err != nil {
		return err
	}
	defer end()
	return r.server.ConfigureReplication(ctx)
}
