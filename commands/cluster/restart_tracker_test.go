package cluster

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// The first restarts of a member are recorded at once; after more of them within a minute its run must last.
func TestRestartTracker(t *testing.T) {
	now := time.Now()
	r := RestartTracker{}
	run := func(n int, session string) View {
		return View{LiveAgents: map[string]MemberKey{"a": {Session: session, RunID: fmt.Sprint("run-", n)}, "b": {Session: "b's", RunID: "run-b"}}}
	}
	check := func(what string, v View, steady []string, wait time.Duration) {
		t.Helper()
		got, left, others := r.Steady(v, []string{"a", "b"}, now)
		if !slices.Equal(got, steady) || left != wait || len(got)+len(others) != 2 {
			t.Errorf("%s: %v are steady, not %v; wait %s; want %v, %s", what, got, others, left, steady, wait)
		}
	}
	both, one := []string{"a", "b"}, []string{"b"}
	check("nothing was seen", run(0, "a's"), both, 0)
	for n := range usualRestarts + 1 {
		r.Observe(run(n, "a's"), now)
		r.Observe(run(n, "a's"), now)
		check(fmt.Sprint("run ", n), run(n, "a's"), both, 0)
		now = now.Add(time.Second)
	}
	r.Observe(run(9, "a's"), now)
	check("restarted too often", run(9, "a's"), one, SteadyAfter)
	check("its agent is dead", run(9, ""), both, 0)
	now = now.Add(SteadyAfter - time.Second)
	check("it lasts", run(9, "a's"), one, time.Second)
	now = now.Add(time.Second)
	check("it has lasted", run(9, "a's"), both, 0)
	r.Observe(run(10, "a's"), now)
	check("restarted again", run(10, "a's"), one, SteadyAfter)
	now = now.Add(restartWindow + time.Second)
	r.Observe(run(11, "a's"), now)
	check("restarted after a calm minute", run(11, "a's"), both, 0)
}
