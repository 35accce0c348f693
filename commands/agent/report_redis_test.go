package agent

import (
	"testing"
	"time"
)

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
