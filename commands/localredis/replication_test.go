package localredis

import (
	"context"
	"errors"
	"testing"

	"resec/handlers/redis"
)

// Replication is configured once for each instance, and again after a failure.
func TestConfigureReplication(t *testing.T) {
	t.Parallel()
	own, r := localServer(t)
	h := redis.Health{Status: status(t, own)}
	has := own.updateReplicationConfig(t.Context(), h, replicationConfig{})
	equal(t, "configured", has.runID, h.Status.RunID)
	equal(t, "again", own.updateReplicationConfig(t.Context(), h, has), has)
	down := redis.Health{Err: errors.New("down"), Status: redis.Status{RunID: "run-new"}}
	equal(t, "it is down", own.updateReplicationConfig(t.Context(), down, has), has)
	denied := redis.Health{AccessErr: errors.New("denied"), Status: redis.Status{RunID: "run-new"}}
	equal(t, "it denies access", own.updateReplicationConfig(t.Context(), denied, has), has)
	r.Kill() // from here on a call would fail
	equal(t, "once more", own.updateReplicationConfig(t.Context(), h, has), has)
	ended, end := context.WithCancel(t.Context())
	end()
	failed := own.updateReplicationConfig(ended, h, replicationConfig{})
	equal(t, "after a failure", failed.runID, "")
	equal(t, "it is logged", failed.failed != "", true)
	equal(t, "once", own.updateReplicationConfig(ended, h, failed), failed)
}
