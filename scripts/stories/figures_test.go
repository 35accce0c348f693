package stories_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"resec/scripts/lab"
)

// noise logs what a story measures, for scripts/stories/table, and knows how late the machine was meanwhile.
type noise struct {
	t *testing.T
	d atomic.Int64 // the longest delay, a time.Duration, of a goroutine that only sleeps
}

// figures starts to listen to the machine, until the test ends.
func figures(t *testing.T) *noise {
	n := &noise{t: t}
	var listening sync.WaitGroup
	t.Cleanup(listening.Wait)
	listening.Go(func() {
		const every = 5 * time.Millisecond
		tick := time.NewTicker(every)
		defer tick.Stop()
		for last := time.Now(); ; {
			select {
			case <-t.Context().Done():
				return
			case <-tick.C:
			}
			now := time.Now()
			n.d.Store(max(n.d.Load(), int64(now.Sub(last)-every)))
			last = now
		}
	})
	return n
}

// consul counts the slowest of Consul's writes too, for a story whose bound has one in it: all stories share one disk.
func (n *noise) consul(k *lab.Cluster) {
	var writing sync.WaitGroup
	n.t.Cleanup(writing.Wait)
	writing.Go(func() {
		const usual = 20 * time.Millisecond
		for n.t.Context().Err() == nil {
			sent := time.Now()
			if _, err := k.Consul.Client.Raw().Write("/v1/kv/noise/"+k.Name, sent.String(), nil, nil); err == nil {
				n.d.Store(max(n.d.Load(), int64(time.Since(sent)-usual)))
			}
			select {
			case <-n.t.Context().Done():
			case <-time.After(usual):
			}
		}
	})
}

// note logs a figure that has no bound.
func (n *noise) note(name string, got time.Duration) {
	n.t.Helper()
	n.t.Logf("figure: %s %d ms", name, got.Milliseconds())
}

// within logs a figure, and fails the test where it is so far beyond its bound that no busy machine is to blame: what counts
// is the table of many runs.
func (n *noise) within(name string, got, bound time.Duration) {
	n.t.Helper()
	n.check(name, got, bound, 500*time.Millisecond)
}

// never is within for what must not be, however busy the machine.
func (n *noise) never(name string, got, bound time.Duration) {
	n.t.Helper()
	n.check(name, got, bound, 0)
}

func (n *noise) check(name string, got, bound, slack time.Duration) {
	n.t.Helper()
	n.note(name, got)
	if late := time.Duration(n.d.Load()); got > bound+slack+3*late {
		n.t.Errorf("%s: %s, not within %s; the machine was late by %s at most", name, got, bound, late)
	}
}
