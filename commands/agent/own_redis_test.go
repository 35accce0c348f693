package agent

import (
	"context"
	"errors"
	"testing"
	"time"

	"resec/handlers/redis"
)

// Replication is configured once for each instance, and again after a failure.
func TestConfigureReplication(t *testing.T) {
	t.Parallel()
	a, r := withRedis(t)
	h := redis.Health{Status: a.local.now(t)}
	has := a.configureReplication(t.Context(), h, replicationConfig{})
	equal(t, "configured", has.runID, h.Status.RunID)
	equal(t, "again", a.configureReplication(t.Context(), h, has), has)
	down := redis.Health{Err: errors.New("down"), Status: redis.Status{RunID: "run-new"}}
	equal(t, "it is down", a.configureReplication(t.Context(), down, has), has)
	denied := redis.Health{AccessErr: errors.New("denied"), Status: redis.Status{RunID: "run-new"}}
	equal(t, "it denies access", a.configureReplication(t.Context(), denied, has), has)
	r.Kill() // from here on a call would fail
	equal(t, "once more", a.configureReplication(t.Context(), h, has), has)
	ended, end := context.WithCancel(t.Context())
	end()
	failed := a.configureReplication(ended, h, replicationConfig{})
	equal(t, "after a failure", failed.runID, "")
	equal(t, "it is logged", failed.failed != "", true)
	equal(t, "once", a.configureReplication(ended, h, failed), failed)
}

// A report waits for a Redis that hangs no longer than a probe does.
func TestReport_OfARedisThatHangs(t *testing.T) {
	t.Parallel()
	a, r := withRedis(t)
	a.Probe.Timeout = 50 * time.Millisecond
	a.leads(t, 1)
	a.ready.Store(true)
	equal(t, "it answers", a.Report(t.Context(), true).Why, "")
	equal(t, "it leaves", a.Report(t.Context(), false).Leaving, false)
	a.shutdown.request()
	equal(t, "it leaves", a.Report(t.Context(), false).Leaving, true)
	r.Freeze()
	defer r.Thaw()
	began := time.Now()
	equal(t, "it hangs", a.Report(t.Context(), false).Why != "", true)
	if took := time.Since(began); took >= reportTimeout {
		t.Errorf("took %s", took)
	}
}
