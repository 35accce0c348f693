package catalog

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const registerFailed = `level=WARN msg="cannot register the service; retrying" event=register_failed id=r-1 err=`

func TestRun_KeepsTheCheck(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.begin(inTerm("4", entry(Replica, passing, "replica of a")))
		var updates []time.Duration
		b.Updated = func(sent time.Time, ttl time.Duration) {
			if ttl != 20*time.Second {
				t.Errorf("the TTL is %s", ttl)
			}
			updates = append(updates, sent.Sub(b.began))
		}
		check := func(f *fakeConsul) {
			s := f.service
			if s.ID != "r-1" || s.Name != "redis-slave" || s.Address != "10.0.0.1" || s.Port != 6379 || s.Meta["term"] != "4" {
				t.Errorf("registered: %+v", s)
			}
			if c := s.Check; c.CheckID != "service:r-1" || c.TTL != "20s" || c.Status != passing {
				t.Errorf("check: %+v", c)
			}
			if d := s.Check.DeregisterCriticalServiceAfter; d != "1m0s" {
				t.Errorf("the service is deregistered if it is critical for %s", d)
			}
			if f.check.Status != passing || f.check.Output != "replica of a" {
				t.Errorf("update: %+v", f.check)
			}
		}
		b.at(time.Second, func() { b.change(check) })
		b.succeeds(b.runFor(17 * time.Second))
		b.sees("0s register", "0s update", "5s read", "5s update", "10s update", "15s read", "15s update", "17s deregister")
		if d := cmp.Diff([]time.Duration{0, 5 * time.Second, 10 * time.Second, 15 * time.Second}, updates); d != "" {
			t.Error(d)
		}
		b.logged()
	})
}

func TestRun_WithoutAnEntryDoesNothing(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.succeeds(b.runFor(time.Minute))
		b.sees()
	})
}

func TestRun_PublishesChanges(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.begin(entry(Replica, passing, "a"))
		b.at(time.Second, func() { b.Set(entry(Replica, passing, "a")) }) // the same
		b.at(2*time.Second, func() { b.Set(entry(Master, passing, "m")) })
		b.at(3*time.Second, func() { b.Set(entry(Master, warning, "fenced")) })
		b.at(4*time.Second, func() { b.Set(entry(Replica, passing, "a")) })
		b.at(5*time.Second, func() { b.Set(entry(Replica, warning, "b")) }) // waits
		b.at(6*time.Second, func() { b.Set(entry(Replica, critical, "c")) })
		b.succeeds(b.runFor(7 * time.Second))
		b.sees("0s register", "0s update", "2s register", "2s update", "3s read", "3s update", "4s register", "4s update",
			"5.3s read", "5.3s update", "6s update", "7s deregister")
	})
}

// A change that is taken back while it is held back is not published.
func TestRun_HoldsBackAReplicasChange(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.begin(inTerm("4", entry(Replica, passing, "a")))
		b.at(time.Second, func() { b.Set(inTerm("4", entry(Replica, warning, "down"))) })
		b.at(1200*time.Millisecond, func() { b.Set(inTerm("5", entry(Replica, passing, "b"))) }) // the 300 ms count from the first
		b.succeeds(b.runFor(2 * time.Second))
		b.sees("0s register", "0s update", "1.3s register", "1.3s update", "2s deregister")
	})
}

func TestRun_RestoresWhatAnotherClientChanged(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*fakeConsul)
		want   []string
		diff   string // that is logged
	}{
		{"deregistered", func(f *fakeConsul) { f.service = nil }, []string{"5s read", "5s update", "5s register", "5s update"},
			"the service is missing"},
		{"other metadata", func(f *fakeConsul) { f.service.Meta = nil }, []string{"5s read", "5s register", "5s update"},
			"the metadata are map[] instead of map[term:4]"},
		{"other tags", func(f *fakeConsul) { f.service.Tags = []string{"x"} }, []string{"5s read", "5s register", "5s update"},
			"the tags are [x] instead of []"},
		{"another name", func(f *fakeConsul) { f.service.Name = "x" }, []string{"5s read", "5s register", "5s update"},
			"the service is x instead of redis-slave"},
		{"another port", func(f *fakeConsul) { f.service.Port++ }, []string{"5s read", "5s register", "5s update"},
			"the address is 10.0.0.1:6380 instead of 10.0.0.1:6379"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, func(b *bench) {
				b.begin(inTerm("4", entry(Replica, passing, "a")))
				b.at(time.Second, func() { b.change(tt.change) })
				b.succeeds(b.runFor(6 * time.Second))
				b.sees(append(append([]string{"0s register", "0s update"}, tt.want...), "6s deregister")...)
				if log := b.logs.String(); strings.Count(log, "\n") != 1 ||
					!strings.Contains(log, fmt.Sprintf("event=registration_corrected id=r-1 difference=%q", tt.diff)) {
					t.Errorf("the log is %q", log)
				}
			})
		})
	}
}

// Nothing is published after an outage unless Confirm allows it.
func TestRun_WaitsForConfirm(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.fate = b.between(0, time.Millisecond, fate{refused: true})
		b.begin(entry(Master, passing, "m"))
		b.Confirm = func(context.Context, Entry) error {
			if time.Since(b.began) < 1500*time.Millisecond {
				return errors.New("another member holds the lock")
			}
			return nil
		}
		b.succeeds(b.runFor(1800 * time.Millisecond))
		b.sees("0s register", "1.5s register", "1.5s update", "1.8s deregister", "2.3s deregister")
	})
}

// A second Run, some time later, has the time of the last update from the first, and asks Confirm first.
func TestRun_Again(t *testing.T) {
	inBubble(t, func(b *bench) {
		asked := 0
		b.Confirm = func(context.Context, Entry) error { asked++; return nil }
		b.begin(entry(Master, passing, "m"))
		b.succeeds(b.runFor(time.Second))
		b.succeeds(b.runFor(2 * time.Second))
		if asked != 0 {
			t.Error("Confirm was asked within an interval")
		}
		<-time.After(15 * time.Second)
		b.succeeds(b.runFor(17100 * time.Millisecond))
		if asked != 1 {
			t.Errorf("Confirm was asked %d times, want 1", asked)
		}
		b.sees("0s register", "0s update", "1s deregister", "1s register", "1s update", "2s deregister",
			"17s register", "17s update", "17.1s deregister")
	})
}

// A member whose Redis does not answer at its node's address is registered with the host at which it does, and again without once
// it does there.
func TestRun_RegistersTheKeptHost(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.Host = ""
		b.begin(entry(Master, passing, "m"))
		var hosts []string
		see := func() { b.change(func(f *fakeConsul) { hosts = append(hosts, f.service.Address) }) }
		kept := entry(Master, passing, "m")
		kept.Host = "10.0.0.7"
		b.at(time.Second, see)
		b.at(2*time.Second, func() { b.Set(kept) })
		b.at(3*time.Second, see)
		b.at(4*time.Second, func() { b.Set(entry(Master, passing, "m")) })
		b.at(4500*time.Millisecond, see)
		b.succeeds(b.runFor(5 * time.Second))
		if d := cmp.Diff([]string{"", "10.0.0.7", ""}, hosts); d != "" {
			t.Error(d)
		}
	})
}

// After Forget nothing is published before the next Set, although an entry was set for an earlier Run.
func TestRegistrar_Forget(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.begin(entry(Replica, passing, "former"))
		b.succeeds(b.runFor(time.Second))
		b.Forget()
		b.calls = nil
		b.at(30*time.Second, func() { b.Set(entry(Replica, passing, "next")) })
		b.succeeds(b.runFor(31 * time.Second))
		b.sees("30s register", "30s update", "31s deregister")
	})
}
