package catalog

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/consul/api"
)

const passing, warning, critical = api.HealthPassing, api.HealthWarning, api.HealthCritical

// interval is that of the registrations under test: its third, its half and its quarter differ from every constant.
const interval = 8 * time.Second

func entry(r Role, status, output string) Entry {
	return Entry{Role: r, Status: status, Output: output}
}

func inTerm(term string, e Entry) Entry {
	e.Meta = map[string]string{"term": term}
	return e
}

// known returns a registration of a healthy replica whose check was updated a second ago, changed.
func known(now time.Time, change ...func(*registration)) registration {
	listed := entry(Replica, passing, "a")
	s := registration{interval: interval, listed: &listed, attempted: true}
	s.lastUpdate, s.lastVerified = now.Add(-time.Second), now.Add(-time.Second)
	for _, f := range change {
		f(&s)
	}
	return s
}

func TestMayWait(t *testing.T) {
	for _, tt := range []struct {
		name         string
		listed, want Entry
		may          bool
	}{
		{"a replica whose master went down", entry(Replica, passing, "a"), entry(Replica, warning, "b"), true},
		{"another output", entry(Replica, critical, "a"), entry(Replica, critical, "b"), true},
		{"another term", inTerm("4", entry(Replica, passing, "a")), inTerm("5", entry(Replica, passing, "a")), true},
		{"no change", entry(Replica, passing, "a"), entry(Replica, passing, "a"), false},
		{"the link is up again", entry(Replica, warning, "a"), entry(Replica, passing, "b"), false},
		{"redis is down", entry(Replica, passing, "a"), entry(Replica, critical, "b"), false},
		{"redis is down after a warning", entry(Replica, warning, "a"), entry(Replica, critical, "b"), false},
		{"redis is up and has no master", entry(Replica, critical, "a"), entry(Replica, warning, "b"), false},
		{"promoted", entry(Replica, warning, "a"), entry(Master, passing, "b"), false},
		{"demoted", entry(Master, passing, "a"), entry(Replica, warning, "b"), false},
		{"a fenced master", entry(Master, passing, "a"), entry(Master, warning, "b"), false},
		{"a master with another output", entry(Master, passing, "a"), entry(Master, passing, "b"), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := mayWait(tt.listed, tt.want); got != tt.may {
				t.Errorf("may wait: %t, want %t", got, tt.may)
			}
		})
	}
}

func TestDecide(t *testing.T) {
	now := time.Now()
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	listed, outdated := entry(Replica, passing, "a"), entry(Replica, warning, "b")
	failedAgo := func(d time.Duration) func(*registration) {
		return func(s *registration) { s.lastFailure = ago(d) }
	}
	staleFor := func(d time.Duration) func(*registration) {
		return func(s *registration) { s.staleSince = ago(d) }
	}
	updatedAgo := func(d time.Duration) func(*registration) {
		return func(s *registration) { s.lastUpdate = ago(d) }
	}
	failing := func(s *registration) { s.listed, s.failing, s.lastFailure = nil, true, ago(time.Second) }
	short := func(s *registration) { s.interval = 800 * time.Millisecond }
	for _, tt := range []struct {
		name string
		s    registration
		want Entry
		next decision
	}{
		{"nothing changed", known(now), listed, decision{publish: true, wait: interval / 2}},
		{"nothing changed, and it did before", known(now, staleFor(time.Second)), listed, decision{publish: true, wait: interval / 2}},
		{"the first entry", registration{interval: interval}, outdated, decision{publish: true, wait: interval / 2}},
		{"the first entry after an earlier Run", registration{interval: interval, lastUpdate: ago(interval + 1)}, outdated,
			decision{publish: true, confirmFirst: true, wait: interval / 2}},
		{"soon after an earlier Run", registration{interval: interval, lastUpdate: ago(interval)}, outdated,
			decision{publish: true, wait: interval / 2}},
		{"a change that may wait", known(now), outdated, decision{wait: replicaUpdateDelay, staleSince: now}},
		{"it has waited for some time", known(now, staleFor(100*time.Millisecond)), outdated,
			decision{wait: replicaUpdateDelay - 100*time.Millisecond, staleSince: ago(100 * time.Millisecond)}},
		{"it has waited long enough", known(now, staleFor(replicaUpdateDelay)), outdated,
			decision{publish: true, wait: interval / 2, staleSince: ago(replicaUpdateDelay)}},
		{"the check is due soon", known(now, updatedAgo(interval/2-time.Millisecond)), outdated,
			decision{wait: time.Millisecond, staleSince: now}},
		{"the check is due", known(now, updatedAgo(interval/2)), outdated,
			decision{publish: true, wait: interval / 2, staleSince: now}},
		{"the check is overdue", known(now, updatedAgo(interval+1)), listed,
			decision{publish: true, confirmFirst: true, wait: interval / 2}},
		{"the last attempt failed", known(now, failing), listed, decision{publish: true, confirmFirst: true, wait: retryInterval}},
		{"one before it failed", known(now, failedAgo(lateWriteWindow-1)), listed, decision{publish: true, wait: retryInterval}},
		{"one failed long ago", known(now, failedAgo(lateWriteWindow)), listed, decision{publish: true, wait: interval / 2}},
		{"one failed, and the change may wait", known(now, failedAgo(time.Second)), outdated,
			decision{wait: replicaUpdateDelay, staleSince: now}},
		{"one failed, and the interval is short", known(now, failedAgo(time.Second), short), listed,
			decision{publish: true, confirmFirst: true, wait: 400 * time.Millisecond}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if d := cmp.Diff(tt.next, tt.s.decide(tt.want, now), cmp.AllowUnexported(decision{})); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestPlan(t *testing.T) {
	now := time.Now()
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	listed := entry(Replica, passing, "a")
	third := interval / 3
	failing := func(s *registration) { s.listed, s.failing, s.lastFailure = nil, true, ago(time.Minute) }
	lateWrites := func(s *registration) { s.lastFailure = ago(time.Second) }
	for _, tt := range []struct {
		name string
		s    registration
		want Entry
		plan publication
	}{
		{"registered, and read back lately", known(now), listed, publication{registered: true, readTimeout: third}},
		{"another output is no other service", known(now), entry(Replica, critical, "b"),
			publication{registered: true, readTimeout: third}},
		{"another role", known(now), entry(Master, passing, "a"), publication{readTimeout: third}},
		{"another term", known(now), inTerm("5", listed), publication{readTimeout: third}},
		{"never registered", registration{interval: interval}, listed, publication{readTimeout: callTimeout}},
		{"never read back", known(now, func(s *registration) { s.lastVerified = time.Time{} }), listed,
			publication{registered: true, verifyFirst: true, readTimeout: third}},
		{"read back an interval ago", known(now, func(s *registration) { s.lastVerified = ago(interval) }), listed,
			publication{registered: true, verifyFirst: true, readTimeout: third}},
		{"read back just less than an interval ago", known(now, func(s *registration) { s.lastVerified = ago(interval - 1) }), listed,
			publication{registered: true, readTimeout: third}},
		{"a late write is possible", known(now, lateWrites), listed,
			publication{registered: true, verifyFirst: true, readTimeout: third, newDeadline: true}},
		{"a late write is possible, and the service is another", known(now, lateWrites), entry(Master, passing, ""),
			publication{readTimeout: third, newDeadline: true}},
		{"failing, and registered before", known(now, failing), listed,
			publication{verifyFirst: true, readTimeout: callTimeout, newDeadline: true}},
		{"the same with a short interval", known(now, failing, func(s *registration) { s.interval = 3 * time.Second }), listed,
			publication{verifyFirst: true, readTimeout: 2 * time.Second, newDeadline: true}},
		{"failing, and a slow consul has rejected it", known(now, failing, func(s *registration) {
			s.sent, s.slowUntil = nil, now.Add(1)
		}), listed, publication{readTimeout: callTimeout, newDeadline: true}},
		{"failing, and a slow consul may have carried it out", known(now, failing, func(s *registration) {
			s.sent, s.slowUntil = &listed, now.Add(1)
		}), listed, publication{verifyFirst: true, readTimeout: callTimeout, newDeadline: true}},
		{"failing from the beginning", registration{interval: interval, failing: true, lastFailure: ago(time.Minute)}, listed,
			publication{readTimeout: callTimeout}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if d := cmp.Diff(tt.plan, tt.s.plan(tt.want, now), cmp.AllowUnexported(publication{})); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestCallTimeout(t *testing.T) {
	now := time.Now()
	for _, tt := range []struct {
		interval, sinceUpdate, want time.Duration
	}{
		{3 * time.Second, 6 * time.Second, time.Second},
		{3 * time.Second, 6*time.Second + 1, callTimeout}, // the check is critical
		{9 * time.Second, time.Second, callTimeout},
		{30 * time.Second, time.Second, callTimeout},
	} {
		s := registration{interval: tt.interval, lastUpdate: now.Add(-tt.sinceUpdate)}
		if got := s.callTimeout(now); got != tt.want {
			t.Errorf("%s, %s after an update: %s, want %s", tt.interval, tt.sinceUpdate, got, tt.want)
		}
	}
	if got := (registration{interval: time.Second}).callTimeout(now); got != callTimeout {
		t.Errorf("before the first update: %s", got)
	}
}

// An update and two retries fit into the TTL, whatever the interval: the check stays passing if two calls in a row fail.
func TestCallTimeout_ThreeTriesFitIntoTheTTL(t *testing.T) {
	for d := 500 * time.Millisecond; d < time.Minute; d += 100 * time.Millisecond {
		now := time.Now()
		s := registration{interval: d, lastUpdate: now}
		_, wait := s.failed(now)
		if took := d/2 + 3*s.callTimeout(now) + 2*wait; took > s.ttl() {
			t.Errorf("interval %s: the third try ends after %s, the TTL after %s", d, took, s.ttl())
		}
	}
}

func TestFailedThenPublished(t *testing.T) {
	now := time.Now()
	s, wait := known(now).failed(now)
	if s.listed != nil || !s.failing || s.lastFailure != now || wait != retryInterval {
		t.Errorf("after a failure: %+v, next attempt after %s", s, wait)
	}
	if !s.registeredBefore() {
		t.Error("it may be registered, and that is not known")
	}
	if _, wait := (registration{interval: time.Second}).failed(now); wait != 250*time.Millisecond {
		t.Errorf("with an interval of 1s the next attempt is after %s", wait)
	}
	s.staleSince = now
	s = s.published(entry(Master, passing, ""))
	if s.listed == nil || s.listed.Role != Master || s.failing || !s.staleSince.IsZero() || s.lastFailure != now {
		t.Errorf("after a success: %+v", s)
	}
	if s.registeredBefore() {
		t.Error("it is known to be registered")
	}
}

func TestRepeatDelay(t *testing.T) {
	for remaining, want := range map[time.Duration]time.Duration{
		3 * time.Second: retryInterval, time.Second: retryInterval, 400 * time.Millisecond: 200 * time.Millisecond, 0: 0,
	} {
		if got := repeatDelay(remaining); got != want {
			t.Errorf("of %s: %s, want %s", remaining, got, want)
		}
	}
}
