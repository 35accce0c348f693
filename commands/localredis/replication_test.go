package localredis

import (
	"context"
	"errors"
	"testing"

	"resec/commands/expect"
	"resec/handlers/redis"
)

// Replication is configured once for each instance, and again after a failure.
func TestConfigureReplication(t *testing.T) {
	t.Parallel()
	own, r := localServer(t)
	h := redis.Health{Status: status(t, own)}
	has := own.updateReplicationConfig(t.Context(), h, replicationConfig{})
	expect.Equal(t, "configured", has.runID, h.Status.RunID)
	expect.Equal(t, "again", own.updateReplicationConfig(t.Context(), h, has), has)
	down := redis.Health{Err: errors.New("down"), Status: redis.Status{RunID: "run-new"}}
	expect.Equal(t, "it is down", own.updateReplicationConfig(t.Context(), down, has), has)
	denied := redis.Health{AccessErr: errors.New("denied"), Status: redis.Status{RunID: "run-new"}}
	expect.Equal(t, "it denies access", own.updateReplicationConfig(t.Context(), denied, has), has)
	r.Kill() // from here on a call would fail
	expect.Equal(t, "once more", own.updateReplicationConfig(t.Context(), h, has), has)
	ended, end := context.WithCancel(t.Context())
	end()
	failed := own.updateReplicationConfig(ended, h, replicationConfig{})
	expect.Equal(t, "after a failure", failed.runID, "")
	expect.Equal(t, "it is logged", failed.failed.Active(), true)
	expect.Equal(t, "once", own.updateReplicationConfig(ended, h, failed), failed)
}
