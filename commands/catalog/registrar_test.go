package catalog

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// bench is a registrar and the Consul agent that it writes to, in a bubble of fake time that begins at 0s.
type bench struct {
	*fakeConsul
	*Registrar
	t    *testing.T
	logs bytes.Buffer
}

// inBubble runs a test of a registrar whose check has an interval of 10 s.
func inBubble(t *testing.T, test func(b *bench)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		f, client := newFakeConsul(t)
		b := &bench{fakeConsul: f, t: t}
		withoutTime := func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		}
		b.Registrar = &Registrar{Client: client, Naming: Naming{Prefix: "redis"}, ID: "r-1", Host: "10.0.0.1", Port: 6379,
			Interval: 10 * time.Second, DeregisterAfter: time.Minute,
			Log: slog.New(slog.NewTextHandler(&b.logs, &slog.HandlerOptions{ReplaceAttr: withoutTime}))}
		test(b)
	})
}

// begin sets the entry that Run finds when it begins.
func (b *bench) begin(e Entry) {
	b.Set(e)
	<-b.wanted.changed()
}

// runFor runs the registrar until so long after the bubble's beginning.
func (b *bench) runFor(d time.Duration) error {
	ctx, cancel := context.WithDeadline(b.t.Context(), b.began.Add(d))
	defer cancel()
	return b.Run(ctx)
}

// at calls f so long after the bubble's beginning.
func (b *bench) at(d time.Duration, f func()) {
	time.AfterFunc(d-time.Since(b.began), f)
}

// sees fails the test unless the agent got just these calls.
func (b *bench) sees(want ...string) {
	b.t.Helper()
	if d := cmp.Diff(want, b.calls); d != "" {
		b.t.Errorf("calls (-want +got):\n%s", d)
	}
}

func (b *bench) logged(want ...string) {
	b.t.Helper()
	if d := cmp.Diff(strings.Join(append(want, ""), "\n"), b.logs.String()); d != "" {
		b.t.Errorf("log (-want +got):\n%s", d)
	}
}

func (b *bench) succeeds(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Error(err)
	}
}

// between returns a fate for all calls of a time: from, to after the bubble's beginning.
func (b *bench) between(from, to time.Duration, what fate) func(int, string) fate {
	return func(int, string) fate {
		if d := time.Since(b.began); d >= from && d < to {
			return what
		}
		return fate{}
	}
}

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
	}{
		{"deregistered", func(f *fakeConsul) { f.service = nil }, []string{"5s read", "5s update", "5s register", "5s update"}},
		{"other metadata", func(f *fakeConsul) { f.service.Meta = nil }, []string{"5s read", "5s register", "5s update"}},
		{"other tags", func(f *fakeConsul) { f.service.Tags = []string{"x"} }, []string{"5s read", "5s register", "5s update"}},
		{"another name", func(f *fakeConsul) { f.service.Name = "x" }, []string{"5s read", "5s register", "5s update"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, func(b *bench) {
				b.begin(inTerm("4", entry(Replica, passing, "a")))
				b.at(time.Second, func() { b.change(tt.change) })
				b.succeeds(b.runFor(6 * time.Second))
				b.sees(append(append([]string{"0s register", "0s update"}, tt.want...), "6s deregister")...)
				b.logged()
			})
		})
	}
}

// During an outage the service is read back first, and nothing is written: what was written before may be carried out late.
func TestRun_Outage(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.fate = b.between(4*time.Second, 6*time.Second, fate{refused: true})
		b.begin(entry(Master, passing, "m"))
		var confirmed []time.Duration
		b.Confirm = func(_ context.Context, e Entry) error {
			if e.Role != Master {
				t.Errorf("it is asked about a %s", e.Role)
			}
			confirmed = append(confirmed, time.Since(b.began))
			return nil
		}
		b.succeeds(b.runFor(7900 * time.Millisecond))
		b.sees("0s register", "0s update", "5s read", "5.5s read", "6s read", "6s update", "6.5s read", "6.5s update",
			"7s read", "7s update", "7.5s read", "7.5s update", "7.9s deregister", "8.4s deregister")
		if d := cmp.Diff([]time.Duration{5500 * time.Millisecond, 6 * time.Second}, confirmed); d != "" {
			t.Errorf("confirmed (-want +got):\n%s", d)
		}
		b.logged(registerFailed+`"read service r-1: Get \"http://consul/v1/agent/service/r-1\": connection refused"`,
			`level=INFO msg="service registered again" event=registered_again service=redis-master id=r-1`)
	})
}

// If Consul answers but does not have the service any more, it is registered; a second outage is logged again.
func TestRun_OutageAndDataLoss(t *testing.T) {
	inBubble(t, func(b *bench) {
		outage := b.between(4*time.Second, 6*time.Second, fate{code: 500})
		again := b.between(16*time.Second, 17*time.Second, fate{code: 500})
		b.fate = func(n int, call string) fate {
			if f := outage(n, call); f.code != 0 {
				return f
			}
			return again(n, call)
		}
		b.begin(entry(Master, passing, "m"))
		b.at(5900*time.Millisecond, func() { b.change(func(f *fakeConsul) { f.service = nil }) })
		b.succeeds(b.runFor(6400 * time.Millisecond))
		b.sees("0s register", "0s update", "5s read", "5s update", "5.5s read", "5.5s register", "6s read", "6s register", "6s update",
			"6.4s deregister", "6.9s deregister")
		if n := strings.Count(b.logs.String(), "register_failed"); n != 1 {
			t.Errorf("%d failures are logged, want 1:\n%s", n, b.logs.String())
		}
		b.begin(entry(Master, passing, "m2"))
		b.succeeds(b.runFor(18100 * time.Millisecond))
		if n := strings.Count(b.logs.String(), "register_failed"); n != 2 {
			t.Errorf("%d failures are logged, want 2:\n%s", n, b.logs.String())
		}
	})
}

func TestRun_LogsEachCauseOnce(t *testing.T) {
	inBubble(t, func(b *bench) {
		denied := b.between(1*time.Second, 2*time.Second, fate{code: 403})
		b.fate = func(n int, call string) fate {
			if f := denied(n, call); f.code != 0 {
				return f
			}
			return fate{refused: true}
		}
		b.begin(entry(Master, passing, "m"))
		err := b.runFor(2900 * time.Millisecond)
		if err == nil || !strings.HasPrefix(err.Error(), "deregister service r-1: ") || !errors.Is(err, errRefused) {
			t.Errorf("the deregistration: %v", err)
		}
		if n := strings.Count(b.logs.String(), "register_failed"); n != 3 {
			t.Errorf("%d failures are logged, want 3:\n%s", n, b.logs.String())
		}
		if n := strings.Count(b.logs.String(), "403"); n != 1 {
			t.Errorf("%d of them are denied access, want 1:\n%s", n, b.logs.String())
		}
	})
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

// A frozen Consul agent: each call has a third of an interval, the read after a failure twice as much.
func TestRun_CallsHaveATimeout(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.Interval = 3 * time.Second
		b.fate = b.between(time.Second, time.Minute, fate{delay: time.Hour})
		b.begin(entry(Master, passing, "m"))
		err := b.runFor(20 * time.Second)
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the deregistration: %v", err)
		}
		b.sees("0s register", "0s update", "1.5s read", "3s read", "5.5s read", "8s read",
			"11.5s read", "15s read", "18.5s read", "20s deregister")
		if d := time.Since(b.began); d != 20*time.Second+defaultDeregisterTimeout {
			t.Errorf("it ended after %s", d)
		}
	})
}

// The check's update has the rest of a read's time; after a failure it has a time of its own.
func TestRun_UpdateAfterASlowRead(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.Interval = 6 * time.Second // a timeout of 2 s
		b.fate = func(_ int, call string) fate {
			if call == "read" || call == "update" && time.Since(b.began) > time.Second {
				return fate{delay: 1500 * time.Millisecond}
			}
			return fate{}
		}
		b.begin(entry(Master, passing, "m"))
		b.succeeds(b.runFor(8800 * time.Millisecond))
		b.sees("0s register", "0s update", "3s read", "4.5s update", "5.5s read", "7s update", "8.8s deregister", "9.3s deregister")
		b.logged(registerFailed+`"update check service:r-1: `+
			`Put \"http://consul/v1/agent/check/update/service:r-1\": context deadline exceeded"`,
			`level=INFO msg="service registered again" event=registered_again service=redis-master id=r-1`)
	})
}

// A registration that was sent is waited for, so that the deregistration comes after it.
func TestRun_EndDuringTheRegistration(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.fate = func(_ int, call string) fate {
			if call == "register" {
				return fate{delay: 800 * time.Millisecond}
			}
			return fate{}
		}
		b.begin(entry(Master, passing, "m"))
		b.succeeds(b.runFor(500 * time.Millisecond))
		b.sees("0s register", "800ms update", "800ms deregister", "1.3s deregister")
		if b.service != nil {
			t.Error("the service is left")
		}
		b.logged()
	})
}

// The pause before the second deregistration fits into the shutdown's time, and leaves as much for the call.
func TestRun_DeregistersTwiceInTime(t *testing.T) {
	for _, tt := range []struct {
		timeout time.Duration
		want    []string
	}{
		{0, []string{"900ms deregister"}},
		{200 * time.Millisecond, []string{"900ms deregister", "1s deregister"}},
		{5 * time.Second, []string{"900ms deregister", "1.4s deregister"}},
	} {
		t.Run(tt.timeout.String(), func(t *testing.T) {
			inBubble(t, func(b *bench) {
				b.fate = func(n int, _ string) fate { return fate{refused: n == 0} }
				b.DeregisterTimeout = func() time.Duration { return tt.timeout }
				b.begin(entry(Master, passing, "m"))
				err := b.runFor(900 * time.Millisecond)
				if (err != nil) != (tt.timeout == 0) {
					t.Error(err)
				}
				b.sees(append([]string{"0s register", "500ms register", "500ms update"}, tt.want...)...)
			})
		})
	}
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
