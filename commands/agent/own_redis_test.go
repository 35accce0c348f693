package agent

import (
	"testing"
	"time"

	"resec/scripts/lab"
)

// A master's agent that does not reach it parks its replica, unless one more probe answers.
func TestDetach(t *testing.T) {
	t.Parallel()
	a, r := withRedis(t)
	a.surveyor = onConsul(t).surveyor
	a.surveyor.Creds = a.Creds
	c := &contender{a: a}
	other, err := lab.ForTest(t).StartRedis("other")
	ok(t, err)
	_, err = r.Do("REPLICAOF", other.Host, "6379")
	ok(t, err)
	runID, err := other.Info("run_id")
	ok(t, err)
	m := master("b", runID, 1)
	m.Address = other.Addr
	ok(t, c.detach(t.Context(), m))
	equal(t, "it answers", status(t, a.local).Parked(), false)
	m.RunID = "run-old"
	ok(t, c.detach(t.Context(), m))
	equal(t, "another instance answers", status(t, a.local).Parked(), true)
	_, err = r.Do("REPLICAOF", other.Host, "6379")
	ok(t, err)
	m.RunID = runID
	other.Kill()
	ok(t, c.detach(t.Context(), m))
	equal(t, "it is down", status(t, a.local).Parked(), true)
}

// Our Redis is not managed if another process manages it, or if our address leads to another one.
func TestCheckOwnRedis(t *testing.T) {
	t.Parallel()
	a := bareAgent()
	server, creds, r := openRedis(t)
	a.Creds, a.Me.Address = creds, r.Addr
	check := func() string {
		t.Helper()
		why, err := a.checkOwnRedis(t.Context(), server)
		ok(t, err)
		return why
	}
	equal(t, "it is ours", check(), "")
	other, err := lab.ForTest(t).StartRedis("other")
	ok(t, err)
	a.Me.Address = other.Addr
	equal(t, "our address leads to another", check() != "", true)
	other.Kill()
	equal(t, "it leads to none", check(), "")
	a.Me.Address = r.Addr
	second, why, err := a.connect(t.Context()) // another process of our name
	if err != nil || second != nil || why == "" {
		t.Errorf("got %v, %q, %v", second, why, err)
	}
	r.Kill()
	equal(t, "it is down", check() != "", true)
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
