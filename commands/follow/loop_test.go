package follow

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"resec/commands/cluster"
	"resec/commands/observable"
	"resec/commands/observe"
	"resec/handlers"
)

// recorder is a handler that notes when it was invoked for what, and how that ended.
type recorder struct {
	began time.Time
	calls []string
	do    func(ctx context.Context, event string) error
}

func (r *recorder) Handle(ctx context.Context, event []byte, _ ...string) error {
	from := time.Since(r.began)
	err := r.do(ctx, string(event))
	r.calls = append(r.calls, fmt.Sprintf("%s %s–%s %v", event, from, time.Since(r.began), err))
	return err
}

// hang is a handler that ends with its context.
func hang(ctx context.Context, _ string) error {
	<-ctx.Done()
	return context.Cause(ctx)
}

// following runs the loop of a follower on what the script makes known, and returns the calls of its handler.
func following(t *testing.T, do func(context.Context, string) error,
	script func(f *Follower, show func(event string))) (calls []string) {
	synctest.Test(t, func(t *testing.T) {
		r := &recorder{began: time.Now(), do: do}
		f := &Follower{Member: "me", Handler: r, Timeout: handlers.Timeout, Log: slog.New(slog.DiscardHandler), known: observable.New[snapshot]()}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); f.loop(ctx) }()
		script(f, func(event string) {
			f.known.Update(func(k *snapshot) { k.index, k.Fresh, k.event, k.digest = 7, true, []byte(event), event })
		})
		cancel()
		<-done
		calls = r.calls
	})
	return calls
}

func TestLoop(t *testing.T) {
	sleep := func(ctx context.Context, d time.Duration) error {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(d):
			return nil
		}
	}
	pause := func(d time.Duration) { <-time.After(d) }
	for _, tt := range []struct {
		name   string
		do     func(context.Context, string) error
		script func(f *Follower, show func(string))
		want   []string
	}{
		{"one call an event", func(context.Context, string) error { return nil }, func(_ *Follower, show func(string)) {
			show("a")
			pause(time.Second)
			show("a")
			pause(time.Second)
			show("b")
			pause(time.Second)
		}, []string{"a 0s–0s <nil>", "b 2s–2s <nil>"}},
		{"a newer event waits for a handler that works",
			func(ctx context.Context, _ string) error { return sleep(ctx, 9*time.Second) }, func(_ *Follower, show func(string)) {
				show("a")
				pause(time.Second)
				show("b")
				pause(time.Minute)
			}, []string{"a 0s–9s <nil>", "b 9s–18s <nil>"}},
		{"and ends one that hangs", hang, func(_ *Follower, show func(string)) {
			show("a")
			pause(3 * time.Second)
			show("b")
			pause(10 * time.Second)
		}, []string{"a 0s–10s a newer event is waiting", "b 10s–13s context canceled"}},
		{"at once if that has hung for long enough", hang, func(_ *Follower, show func(string)) {
			show("a")
			pause(20 * time.Second)
			show("b")
			pause(time.Second)
		}, []string{"a 0s–20s a newer event is waiting", "b 20s–21s context canceled"}},
		{"an event that comes back supersedes nothing", hang, func(_ *Follower, show func(string)) {
			show("a")
			pause(3 * time.Second)
			show("b")
			pause(time.Second)
			show("a")
			pause(20 * time.Second)
		}, []string{"a 0s–24s context canceled"}},
		{"without a newer event the timeout ends it", hang, func(_ *Follower, show func(string)) {
			show("a")
			pause(handlers.Timeout + 100*time.Millisecond)
		}, []string{"a 0s–1m0s the handler took too long: its limit is 1m0s"}},
		{"and so does the lock, when it becomes ours", hang, func(f *Follower, show func(string)) {
			show("a")
			pause(3 * time.Second)
			f.known.Update(func(k *snapshot) { k.View.Session, k.View.Holder = "s", "me" })
			pause(20 * time.Second)
		}, []string{"a 0s–10s a newer event is waiting"}},
		{"a failure is retried after a pause that doubles, unless there is another event", func(_ context.Context, event string) error {
			if event == "a" {
				return errors.New("no")
			}
			return nil
		}, func(_ *Follower, show func(string)) {
			show("a")
			pause(time.Second)
			show("b")
			pause(time.Minute)
		}, []string{"a 0s–0s no", "a 200ms–200ms no", "a 600ms–600ms no", "b 1s–1s <nil>"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if d := cmp.Diff(tt.want, following(t, tt.do, tt.script)); d != "" {
				t.Error(d)
			}
		})
	}
}

// While Consul shows an older state than before, no handler is invoked: its event may name an older master.
func TestLoop_NotWhileConsulWentBack(t *testing.T) {
	back := func(f *Follower, is bool) { f.known.Update(func(k *snapshot) { k.View.WentBack = is }) }
	done := func(context.Context, string) error { return nil }
	got := following(t, done, func(f *Follower, show func(string)) {
		back(f, true)
		show("older")
		<-time.After(time.Second)
		show("newest")
		back(f, false)
		<-time.After(time.Second)
	})
	if d := cmp.Diff([]string{"newest 1s–1s <nil>"}, got); d != "" {
		t.Error(d)
	}
}

func TestFailureLog(t *testing.T) {
	a, b := handledKey{digest: "a"}, handledKey{digest: "b"}
	reset := func(port int) error { return fmt.Errorf("read tcp 127.0.0.1:%d: connection reset", port) }
	var l failureLog
	for i, tt := range []struct {
		job  handledKey
		err  error
		wait time.Duration
		log  bool
	}{
		{a, reset(1), 200 * time.Millisecond, true},
		{a, reset(2), 400 * time.Millisecond, false},
		{a, errors.New("else"), 800 * time.Millisecond, true},
		{a, reset(3), 1600 * time.Millisecond, true},
		{a, reset(4), 3200 * time.Millisecond, false},
		{a, reset(5), 5 * time.Second, false},
		{a, reset(6), 5 * time.Second, false},
		{b, reset(7), 200 * time.Millisecond, false},
	} {
		if wait, log := l.add(tt.job, tt.err); wait != tt.wait || log != tt.log {
			t.Errorf("failure %d: wait %s and log %t, want %s and %t", i, wait, log, tt.wait, tt.log)
		}
	}
}

// The built-in handler is invoked again for another instance of Redis, once that is usable.
func TestSnapshot_Observe(t *testing.T) {
	var k snapshot
	for _, tt := range []struct {
		runID string
		err   error
		want  string
	}{{"r", nil, "r"}, {"q", errors.New("loading"), "r"}, {"q", nil, "q"}} {
		k.observe(func(s *observe.Snapshot) { s.Health.Status.RunID, s.Health.Err = tt.runID, tt.err })
		if k.runID != tt.want {
			t.Errorf("run %s with %v: got %q, want %q", tt.runID, tt.err, k.runID, tt.want)
		}
	}
}

// Without a built-in handler the published address is part of the event; with it, what Redis shall follow and which Redis.
func TestKeyOf(t *testing.T) {
	k := snapshot{digest: "d", runID: "r", entries: nil}
	k.View.State.Master = &cluster.Master{Peer: handlers.Peer{ID: "b", Address: "10.0.0.2:6379"}}
	if got := (&Follower{}).keyOf(k); got != (handledKey{digest: "d10.0.0.2:6379"}) {
		t.Errorf("external: %+v", got)
	}
	builtin := &Follower{Replicate: func(context.Context, handlers.Target) error { return nil }}
	if got := builtin.keyOf(k); got != (handledKey{runID: "r"}) {
		t.Errorf("built-in: %+v", got)
	}
	k.View.State.Master = nil
	if got := (&Follower{}).keyOf(k); got.digest != "d" || strings.Contains(got.digest, ":") {
		t.Errorf("without a published master: %+v", got)
	}
}
