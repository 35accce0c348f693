package stories_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"resec/scripts/lab"
)

// What the agents of these stories are set to by lab.Quick, or by default.
const (
	interval   = time.Second     // HEALTHCHECK_INTERVAL
	sessionTTL = 3 * time.Second // CONSUL_LOCK_TTL
	maxLag     = 5 * time.Second // GUARD_MAX_LAG
)

const (
	// lateness is how much later than its server gave it a client on a busy machine may read an answer.
	lateness = 500 * time.Millisecond
	// closing is how long a master continues whose replicas were cut off: the last of what they acknowledge once a second must
	// be older than maxLag in whole seconds of Redis's clock, which may be 0.1 s old, and once a second Redis looks.
	closing = maxLag + 2100*time.Millisecond
	// evidence is how long an unreachable master is waited for when its replicas are detached.
	evidence = maxLag + 2500*time.Millisecond
	// asking is how long it takes to see that it is unreachable, with HEALTHCHECK_TIMEOUT for each probe.
	asking = 3 * time.Second
)

// firstBy is when one of the servers first accepted a write; zero if none has.
func firstBy(w *lab.Watch, rs ...*lab.Redis) (first time.Time) {
	accepted := w.Prober.Accepted()
	for _, r := range rs {
		if all := accepted[r.Name]; len(all) > 0 && (first.IsZero() || all[0].From.Before(first)) {
			first = all[0].From
		}
	}
	return first
}

// lastBy is when a server last accepted a write, of those that it has answered by now.
func lastBy(w *lab.Watch, r *lab.Redis) time.Time {
	all := w.Prober.Accepted()[r.Name]
	if len(all) == 0 {
		return time.Time{}
	}
	last := all[len(all)-1]
	return slices.MaxFunc([]time.Time{last.From, last.To}, time.Time.Compare)
}

// rest are the servers of a cluster but the m-th.
func rest(k *lab.Cluster, m int) (rs []*lab.Redis) {
	for _, i := range others(k, m) {
		rs = append(rs, k.Redis[i])
	}
	return rs
}

// succeeded waits until another than the m-th accepts writes, and returns since when.
func succeeded(t *testing.T, k *lab.Cluster, w *lab.Watch, m int) (at time.Time) {
	t.Helper()
	lab.Eventually(t, patience, func() error {
		if at = firstBy(w, rest(k, m)...); at.IsZero() {
			return fmt.Errorf("only %s accepts writes: %v", k.Redis[m].Name, w.Writer.Errors())
		}
		return nil
	})
	return at
}

// neverTwo returns nil if no two servers have accepted writes at once so far.
func neverTwo(w *lab.Watch) func() error {
	return seldom(func() error {
		if two := w.Prober.Overlaps(); len(two) > 0 {
			return fmt.Errorf("two accept writes: %v", two)
		}
		return nil
	})
}

// judged waits until the cluster has recovered, and returns what was seen until then, and the index of the master.
func judged(t *testing.T, k *lab.Cluster, w *lab.Watch) (v lab.Verdict, now int) {
	t.Helper()
	v = w.Verdict(patience)
	t.Log(v)
	now, err := k.Master()
	ok(t, errors.Join(v.Settled, err))
	whole(t, k)
	return v, now
}

// became is judged, and fails the test if the m-th is still the master.
func became(t *testing.T, k *lab.Cluster, w *lab.Watch, m int) lab.Verdict {
	t.Helper()
	v, now := judged(t, k, w)
	if now == m {
		t.Fatalf("%s leads again", k.Redis[m].Name)
	}
	return v
}
