package catalog

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
)

// Consul carries each call out at once, and answers late. The check is updated in time, and so is the lease that depends on it.
func TestRun_LateAnswers(t *testing.T) {
	for _, late := range []time.Duration{4 * time.Second, 4700 * time.Millisecond} {
		t.Run(late.String(), func(t *testing.T) {
			inBubble(t, func(b *bench) {
				b.Interval = 5 * time.Second
				b.fate = b.between(7*time.Second, 47*time.Second, fate{late: late})
				b.Confirm = func(ctx context.Context, _ Entry) error { // one call, which has 3 s
					if b.fate(0, "confirm").late == 0 {
						return nil
					}
					select {
					case <-ctx.Done():
					case <-time.After(callTimeout):
					}
					return errors.New("no answer")
				}
				leased := time.Duration(0) // until when
				b.Updated = func(sent time.Time, ttl time.Duration) {
					if now := time.Since(b.began); leased > 0 && now > leased {
						t.Errorf("the lease was over at %s, the next began at %s", leased, now)
					}
					leased = max(leased, sent.Sub(b.began)+ttl)
				}
				b.begin(entry(Master, passing, "m"))
				b.succeeds(b.runFor(60 * time.Second))
				last := time.Duration(0)
				for _, at := range append(slices.Clone(b.updates), 60*time.Second) {
					if at-last > b.TTL() {
						t.Errorf("the check was not updated from %s to %s", last, at)
					}
					last = at
				}
				if n := strings.Count(b.logs.String(), "\n"); n > 2 {
					t.Errorf("%d lines are logged:\n%s", n, b.logs.String())
				}
			})
		})
	}
}

// A change of role is registered once, and its check is kept, although its answer is late.
func TestRun_LateAnswerToARegistration(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.Interval = 5 * time.Second
		b.fate = b.between(7*time.Second, 47*time.Second, fate{late: 4 * time.Second})
		b.begin(entry(Master, passing, "m"))
		b.at(20*time.Second, func() { b.Set(entry(Replica, passing, "r")) })
		b.succeeds(b.runFor(60 * time.Second))
		registered := 0
		for _, c := range b.calls {
			if strings.HasSuffix(c, " register") {
				registered++
			}
		}
		last := time.Duration(0)
		for _, at := range b.updates {
			if at-last > b.TTL() {
				t.Errorf("the check was not updated from %s to %s", last, at)
			}
			last = at
		}
		if registered != 2 || b.check.Output != "r" {
			t.Errorf("registered %d times, the check says %+v:\n%s", registered, b.check, strings.Join(b.calls, "\n"))
		}
	})
}

// A registration whose late answer is an error is sent again: it does not count as carried out.
func TestRun_LateRejectionOfARegistration(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.Interval = 5 * time.Second
		slow, rejected := b.between(7*time.Second, 47*time.Second, fate{late: 4 * time.Second}), 0
		b.fate = func(n int, call string) fate {
			if call == "register" && time.Since(b.began) > 19*time.Second && rejected == 0 {
				rejected++
				return fate{delay: 4 * time.Second, code: 500}
			}
			return slow(n, call)
		}
		b.begin(entry(Master, passing, "m"))
		b.at(20*time.Second, func() { b.Set(entry(Replica, passing, "r")) })
		name := ""
		b.at(46*time.Second, func() { b.change(func(f *fakeConsul) { name = f.service.Name }) })
		b.succeeds(b.runFor(60 * time.Second))
		if want := b.Naming.Name(Replica); rejected != 1 || name != want {
			t.Errorf("%d rejected, it is registered as %q, want %q:\n%s", rejected, name, want, strings.Join(b.calls, "\n"))
		}
	})
}

// A service that was deregistered while answers are late is registered again.
func TestRun_DeregisteredWhileAnswersAreLate(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.Interval = 5 * time.Second
		b.fate = b.between(7*time.Second, 47*time.Second, fate{late: 4 * time.Second})
		b.begin(entry(Master, passing, "m"))
		b.at(20*time.Second, func() { b.change(func(f *fakeConsul) { f.service = nil }) })
		there := false
		b.at(59*time.Second, func() { b.change(func(f *fakeConsul) { there = f.service != nil }) })
		b.succeeds(b.runFor(60 * time.Second))
		if !there {
			t.Errorf("it is not registered:\n%s", strings.Join(b.calls, "\n"))
		}
	})
}

func TestAnsweredLate(t *testing.T) {
	now := time.Now()
	sent := entry(Master, passing, "m")
	failing := func(s *registration) { s.listed, s.failing, s.sent = nil, true, &sent }
	for _, tt := range []struct {
		name       string
		s          registration
		registered bool
		listed     bool
	}{
		{"what was sent last is listed", known(now, failing), true, true},
		{"not while a registration is unanswered", known(now, failing), false, false},
		{"nor if it was rejected", known(now, failing, func(s *registration) { s.sent = nil }), true, false},
		{"nor after the TTL", known(now, failing, func(s *registration) { s.lastUpdate = now.Add(-2*interval - 1) }), true, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := tt.s.answeredLate(tt.registered, now)
			if (s.listed != nil) != tt.listed || s.failing == tt.listed {
				t.Errorf("%+v", s)
			}
			if !s.slow(now) || s.slow(now.Add(2*interval)) {
				t.Error("consul is slow for a TTL from a late answer")
			}
		})
	}
}

// A Consul that is always somewhat late is frozen for longer than the check's TTL, and continues. The check is updated soon after,
// although the late answer to each read comes while the next one waits.
func TestRun_FrozenAndAlwaysLate(t *testing.T) {
	for _, late := range []time.Duration{20 * time.Millisecond, 149 * time.Millisecond, 240 * time.Millisecond, 320 * time.Millisecond} {
		t.Run(late.String(), func(t *testing.T) {
			inBubble(t, func(b *bench) {
				const thawed = 9 * time.Second
				b.Interval = time.Second
				b.fate = func(int, string) fate {
					if now := time.Since(b.began); now > 3*time.Second && now < thawed {
						return fate{delay: thawed - now + late}
					}
					return fate{late: late}
				}
				b.begin(entry(Master, passing, "m"))
				b.at(3100*time.Millisecond, func() { b.Set(entry(Replica, passing, "r")) })
				b.succeeds(b.runFor(40 * time.Second))
				last := thawed + time.Second
				for _, at := range append(slices.Clone(b.updates), 40*time.Second) {
					if at > last && at-last > b.TTL() {
						t.Errorf("the check was not updated from %s to %s", last, at)
					}
					last = max(last, at)
				}
			})
		})
	}
}
