package stories_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"resec/scripts/lab"
)

// The master's agent dies, and nothing else: its lock is free when its check has not been updated for two intervals, and
// its Redis, which can be asked, hands over.
func TestWrite01_MastersAgentKilled(t *testing.T) {
	t.Parallel()
	for _, n := range []int{2, 3} {
		t.Run(fmt.Sprint("n=", n), func(t *testing.T) {
			t.Parallel()
			k := planned(t, lab.Plan{Members: n, StartParked: true})
			m := started(t, k)
			fig, w := figures(t), watched(t, k)
			killed := time.Now()
			k.Agents[m].Kill()
			next := succeeded(t, k, w, m)
			lab.Eventually(t, patience, func() error { _, err := k.Linked(); return err }) // the one without an agent, too
			throughout(t, 5*interval, neverTwo(w))
			ok(t, k.Agent(m))
			v := became(t, k, w, m)
			fig.within("new master", next.Sub(killed), 2*interval+500*time.Millisecond)
			cleanly(t, fig, w, v)
			ok(t, k.Stop())
		})
	}
}

// cleanly fails the test if a master that could be asked to hand over did not do so without a loss, or took its time.
func cleanly(t *testing.T, fig *noise, w *lab.Watch, v lab.Verdict) {
	t.Helper()
	fig.within("write pause", pause(w), 100*time.Millisecond)
	fig.note("client outage", v.Outage.Lasted())
	if err := errors.Join(v.Sound(), v.NoResync()); err != nil {
		t.Error(err)
	}
}
