package catalog

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

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

// A frozen Consul agent: each call has a third of an interval, the read after a failure twice as much. One update is sent to it.
func TestRun_CallsHaveATimeout(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.Interval = 3 * time.Second
		b.fate = b.between(time.Second, time.Minute, fate{delay: time.Hour})
		b.begin(entry(Master, passing, "m"))
		err := b.runFor(20 * time.Second)
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the deregistration: %v", err)
		}
		b.sees("0s register", "0s update", "1.5s read", "2.5s update", "4.5s read", "7s read",
			"10.5s read", "14s read", "17.5s read", "20s deregister")
		if d := time.Since(b.began); d != 20*time.Second+defaultDeregisterTimeout {
			t.Errorf("it ended after %s", d)
		}
	})
}

// The check's update has the rest of a read's time. If it is answered later that counts, and the next one has a time of its own.
func TestRun_UpdateAfterASlowRead(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.Interval = 6 * time.Second // a timeout of 2 s
		b.fate = func(_ int, call string) fate {
			if call == "read" || call == "update" && time.Since(b.began) > time.Second {
				return fate{delay: 1400 * time.Millisecond}
			}
			return fate{}
		}
		b.begin(entry(Master, passing, "m"))
		b.succeeds(b.runFor(8800 * time.Millisecond))
		b.sees("0s register", "0s update", "3s read", "4.4s update", "5.8s update", "7.7s update", "8.8s deregister", "9.3s deregister")
		b.logged(registerFailed+`"update check service:r-1: consul has not answered yet"`,
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
