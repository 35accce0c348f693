package lock

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"resec/commands/observable"
)

// keeping runs a keeper in fake time, with what the script does to Consul meanwhile, and returns what it reported, and logged.
func keeping(t *testing.T, setup func(k *Keeper, s *sessions), script func(s *sessions)) (events, log string, s *sessions) {
	s = &sessions{lost: map[string]bool{}}
	l, _ := fake(t, s.answer)
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		var out bytes.Buffer
		note := func(format string, args ...any) {
			events += fmt.Sprintf("%s %s\n", time.Since(began), fmt.Sprintf(format, args...))
		}
		k := &Keeper{Client: l.Client, Options: SessionOptions{Name: "test", TTL: 15 * time.Second},
			Log:   slog.New(slog.NewTextHandler(&out, nil)),
			Began: func(s *Session) { note("began %s", s.ID) },
			Ended: func(s *Session, lost bool) { note("ended %s lost=%t", s.ID, lost) }}
		setup(k, s)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); k.Run(ctx) }()
		script(s)
		synctest.Wait()
		cancel()
		<-done
		log = out.String()
	})
	return events, log, s
}

func wait(d time.Duration) { <-time.After(d) }

func TestKeeper(t *testing.T) {
	for _, tt := range []struct {
		name   string
		script func(s *sessions)
		want   string
		logs   []string // events, in order
	}{
		{"a session until the end", func(*sessions) { wait(time.Minute) }, "0s began s1\n1m0s ended s1 lost=false\n", nil},
		{"another one for one that is lost", func(s *sessions) {
			wait(6 * time.Second)
			s.lose("s1")
			wait(5 * time.Second)
		}, "0s began s1\n10s ended s1 lost=true\n10s began s2\n11s ended s2 lost=false\n", []string{"session_lost"}},
		{"the same one through an outage", func(s *sessions) {
			s.setDown(true)
			wait(time.Minute)
			s.setDown(false)
			wait(10 * time.Second)
		}, "0s began s1\n1m10s ended s1 lost=false\n", []string{"session_renew_failed"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			events, log, s := keeping(t, func(*Keeper, *sessions) {}, func(s *sessions) { synctest.Wait(); tt.script(s) })
			if d := cmp.Diff(tt.want, events); d != "" {
				t.Error(d)
			}
			if last := fmt.Sprintf("s%d", s.created); len(s.destroyed) != 1 || s.destroyed[0] != last {
				t.Errorf("destroyed are %v, want the last, %s", s.destroyed, last)
			}
			logged(t, log, tt.logs...)
		})
	}
}

// logged compares the events in a log.
func logged(t *testing.T, log string, want ...string) {
	t.Helper()
	var got []string
	for line := range strings.Lines(log) {
		_, rest, _ := strings.Cut(line, "event=")
		event, _, _ := strings.Cut(rest, " ")
		got = append(got, event)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("%s\n%s", d, log)
	}
}

// It retries to open a session, with a pause that doubles up to a second, and logs each kind of error once.
func TestKeeper_RetriesToOpen(t *testing.T) {
	var at []time.Duration
	events, log, _ := keeping(t, func(k *Keeper, _ *sessions) {
		began := time.Now()
		k.Open = func(ctx context.Context, _ string, _ bool) (*Session, error) {
			at = append(at, time.Since(began))
			if len(at) == 7 {
				return k.New(ctx)
			}
			return nil, fmt.Errorf("read tcp 127.0.0.1:%d: connection reset", 40000+len(at))
		}
	}, func(*sessions) { wait(10 * time.Second) })
	want := []time.Duration{0, 100, 300, 700, 1500, 2500, 3500}
	for i := range want {
		want[i] *= time.Millisecond
	}
	if d := cmp.Diff(want, at); d != "" {
		t.Error(d)
	}
	if want := "3.5s began s1\n10s ended s1 lost=false\n"; events != want {
		t.Errorf("got %q, want %q", events, want)
	}
	logged(t, log, "session_open_failed")
}

func TestKeeper_EndsWithoutASession(t *testing.T) {
	events, _, s := keeping(t, func(k *Keeper, _ *sessions) {
		k.Open = func(context.Context, string, bool) (*Session, error) { return nil, errors.New("no") }
	}, func(*sessions) { wait(time.Second) })
	if events != "" || s.created+len(s.destroyed) > 0 {
		t.Errorf("%q, %+v", events, s)
	}
}

// A session is opened once it is wanted, and stays when it no longer is; Open hears of the one that was lost.
func TestKeeper_Wanted(t *testing.T) {
	wanted := observable.New[bool]()
	var lostIDs []string
	events, _, _ := keeping(t, func(k *Keeper, _ *sessions) {
		wanted = observable.New[bool]()
		k.Wanted = wanted.Watch
		k.Open = func(ctx context.Context, lost string, _ bool) (*Session, error) {
			lostIDs = append(lostIDs, lost)
			return k.New(ctx)
		}
	}, func(s *sessions) {
		wait(3 * time.Second)
		wanted.Update(func(w *bool) { *w = true })
		wait(2 * time.Second)
		wanted.Update(func(w *bool) { *w = false })
		wait(10 * time.Second)
		s.lose("s1")
		wait(10 * time.Second)
		wanted.Update(func(w *bool) { *w = true })
		wait(time.Second)
	})
	if want := "3s began s1\n18s ended s1 lost=true\n25s began s2\n26s ended s2 lost=false\n"; events != want {
		t.Errorf("got %q, want %q", events, want)
	}
	if d := cmp.Diff([]string{"", "s1"}, lostIDs); d != "" {
		t.Error(d)
	}
}

// A session that is given up is destroyed, and Open hears that. Another ID is ignored.
func TestKeeper_Drop(t *testing.T) {
	var opened []string
	events, _, s := keeping(t, func(k *Keeper, _ *sessions) {
		drop := make(chan string, 1)
		k.Drop = drop
		k.Open = func(ctx context.Context, lost string, dropped bool) (*Session, error) {
			opened = append(opened, fmt.Sprint(lost, dropped))
			return k.New(ctx)
		}
		time.AfterFunc(time.Second, func() { drop <- "another" })
		time.AfterFunc(2*time.Second, func() { drop <- "s1" })
		time.AfterFunc(3*time.Second, func() { drop <- "s1" })
	}, func(*sessions) { wait(4 * time.Second) })
	if want := "0s began s1\n2s ended s1 lost=true\n2s began s2\n4s ended s2 lost=false\n"; events != want {
		t.Errorf("got %q, want %q", events, want)
	}
	if d := cmp.Diff([]string{"false", "s1true"}, opened); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"s1", "s2"}, s.destroyed); d != "" {
		t.Error(d)
	}
}

func TestKeeper_VerifiesAtOnce(t *testing.T) {
	events, _, s := keeping(t, func(k *Keeper, s *sessions) {
		verify := make(chan struct{}, 1)
		k.Verify = verify
		time.AfterFunc(time.Second, func() { s.lose("s1"); verify <- struct{}{} })
	}, func(*sessions) { wait(2 * time.Second) })
	if want := "0s began s1\n1s ended s1 lost=true\n1s began s2\n2s ended s2 lost=false\n"; events != want {
		t.Errorf("got %q, want %q", events, want)
	}
	if s.renewed != 0 {
		t.Errorf("renewed %d times", s.renewed)
	}
}

// What cannot be destroyed is left to its TTL, and logged.
func TestKeeper_DestroyIsBounded(t *testing.T) {
	_, log, s := keeping(t, func(k *Keeper, _ *sessions) {
		k.DestroyTimeout = func() time.Duration { return time.Second }
	}, func(s *sessions) { synctest.Wait(); s.setDown(true) })
	logged(t, log, "session_destroy_failed")
	if len(s.destroyed) > 0 {
		t.Errorf("destroyed are %v", s.destroyed)
	}
}
