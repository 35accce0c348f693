package agent

import (
	"context"
	"testing"
	"time"

	"resec/commands/expect"
)

func TestReport_BeforeTheAgentIsReady(t *testing.T) {
	if got := new(Agent).Report(context.Background(), true); got.Why != notReady {
		t.Error(got)
	}
}

// A report waits for a Redis that hangs no longer than a probe does.
func TestReport_OfARedisThatHangs(t *testing.T) {
	t.Parallel()
	a, r := withRedis(t)
	a.Probe.Timeout = 50 * time.Millisecond
	a.leads(t, 1)
	a.ready.Store(true)
	expect.Equal(t, "it answers", a.Report(t.Context(), true).Why, "")
	expect.Equal(t, "it leaves", a.Report(t.Context(), false).Leaving, false)
	a.shutdown.request()
	expect.Equal(t, "it leaves", a.Report(t.Context(), false).Leaving, true)
	r.Freeze()
	defer r.Thaw()
	began := time.Now()
	expect.Equal(t, "it hangs", a.Report(t.Context(), false).Why != "", true)
	if took := time.Since(began); took >= reportTimeout {
		t.Errorf("took %s", took)
	}
}
