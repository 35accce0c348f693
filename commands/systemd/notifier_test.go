package systemd

import (
	"context"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"resec/commands/catalog"
	"resec/commands/cluster"
	"resec/commands/expect"
	"resec/commands/known"
	"resec/commands/observable"
)

// runs runs a notifier until the test ends. The function that it returns asks the agent to stop.
func runs(t *testing.T, n Notifier) (stop func()) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	over := make(chan struct{})
	var done sync.WaitGroup
	done.Go(func() { n.Run(ctx, over) })
	t.Cleanup(func() { stop(); close(over); done.Wait() })
	return stop
}

func TestNotifier(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	expect.OK(t, err)
	defer conn.Close()
	receives := func(want string) {
		t.Helper()
		buf := make([]byte, 4096)
		_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
		if n, err := conn.Read(buf); err != nil || string(buf[:n]) != want {
			t.Fatalf("got %q, %v; want %q", buf[:n], err, want)
		}
	}
	seen, advertised := observable.New[known.Snapshot](), observable.New[catalog.Entry]()
	n := Notifier{Socket: socket, Known: seen, Advertised: advertised, Log: slog.New(slog.DiscardHandler)}
	advertise := func(e catalog.Entry) { advertised.Update(func(shown *catalog.Entry) { *shown = e }) }
	ctx, stop := context.WithCancel(t.Context())
	over := make(chan struct{})
	var done sync.WaitGroup
	done.Go(func() { n.Run(ctx, over) })
	advertise(catalog.Entry{Output: "not started yet: redis is\nunhealthy"})
	receives("STATUS=not started yet: redis is unhealthy")
	seen.Update(func(k *known.Snapshot) { k.Registered = true }) // Redis has not answered
	seen.Update(func(k *known.Snapshot) { k.Probed, k.Health.Err = true, cluster.ErrOtherInstance })
	seen.Update(func(k *known.Snapshot) { k.Health.Err = nil })
	receives("READY=1")
	advertise(catalog.Entry{Output: "replica of a", Meta: map[string]string{"term": "4"}})
	receives("STATUS=replica of a")
	advertise(catalog.Entry{Output: "replica of a", Meta: map[string]string{"term": "5"}}) // the status has not changed
	stop()
	receives("STOPPING=1")
	advertise(catalog.Entry{Output: "replica of b"})
	receives("STATUS=replica of b")
	close(over)
	done.Wait()
}

// What meets a full socket is sent again. The watchdog is fed until the goroutine that decides hangs.
func TestNotifier_Delivers(t *testing.T) {
	t.Parallel()
	socket := filepath.Join(t.TempDir(), "s")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	expect.OK(t, err)
	defer conn.Close()
	filled := false
	for range 10_000 {
		if err := Notify(socket, []string{"STATUS=full"}); err != nil {
			filled = true
			break
		}
	}
	expect.Equal(t, "the socket is full", filled, true)
	var text expect.Log
	log := slog.New(slog.NewTextHandler(&text, nil))
	said := func(event string) int { return strings.Count(text.String(), event) }
	var decided atomic.Int64
	decided.Store(time.Now().UnixNano())
	seen, advertised := observable.New[known.Snapshot](), observable.New[catalog.Entry]()
	n := Notifier{Socket: socket, Known: seen, Advertised: advertised, Watchdog: 20 * time.Millisecond,
		Decided: func() time.Time { return time.Unix(0, decided.Load()) }, Log: log}
	seen.Update(func(k *known.Snapshot) { k.Registered, k.Probed = true, true })
	runs(t, n)
	until := func(what string, met func() bool) {
		t.Helper()
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for end := time.Now().Add(20 * time.Second); !met(); <-tick.C {
			if time.Now().After(end) {
				t.Fatal("timed out: " + what)
			}
		}
	}
	until("it fails", func() bool { return said("systemd_notify_failed") == 1 })
	heard := make(chan string, 100_000)
	go func() {
		for buf := make([]byte, 4096); ; {
			n, err := conn.Read(buf)
			if err != nil {
				return
			}
			for line := range strings.SplitSeq(string(buf[:n]), "\n") {
				heard <- line
			}
		}
	}()
	count := func(line string) (n int) {
		for {
			select {
			case l := <-heard:
				if l == line {
					n++
				}
			default:
				return n
			}
		}
	}
	ready := 0
	until("it is ready", func() bool { ready += count("READY=1"); return ready == 1 })
	fed := 0
	until("it is fed", func() bool { fed += count("WATCHDOG=1"); return fed > 3 })
	decided.Store(time.Now().Add(-maxStep).UnixNano())
	until("it is not fed", func() bool { return said("watchdog_not_fed") == 1 })
	decided.Store(time.Now().UnixNano())
	count("")
	fed = 0
	until("it is fed again", func() bool { fed += count("WATCHDOG=1"); return fed > 3 })
	expect.Equal(t, "failures", said("systemd_notify_failed"), 1)
}

// A watchdog's message that meets a full socket is sent again before the watchdog is due the next time.
func TestNotifier_FeedsAgain(t *testing.T) {
	t.Parallel()
	socket := filepath.Join(t.TempDir(), "s")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	expect.OK(t, err)
	defer conn.Close()
	next := func() string {
		t.Helper()
		buf := make([]byte, 4096)
		_ = conn.SetReadDeadline(time.Now().Add(expect.Patience))
		n, err := conn.Read(buf)
		expect.OK(t, err)
		return string(buf[:n])
	}
	failed := make(chan struct{}, 1)
	log := slog.New(slog.NewTextHandler(writer(func(p []byte) (int, error) {
		observable.Signal(failed)
		return len(p), nil
	}), nil))
	seen := observable.New[known.Snapshot]()
	n := Notifier{Socket: socket, Known: seen, Advertised: observable.New[catalog.Entry](), Watchdog: 3 * time.Second,
		Decided: time.Now, Log: log}
	seen.Update(func(k *known.Snapshot) { k.Registered, k.Probed = true, true })
	stop := runs(t, n)
	expect.Equal(t, "first", next(), "READY=1")
	filled := 0
	for Notify(socket, []string{"STATUS=full"}) == nil {
		filled++
	}
	select {
	case <-failed:
	case <-time.After(expect.Patience):
		t.Fatal("the watchdog's message is delivered to a full socket")
	}
	for left := filled; left > 0; {
		if next() == "STATUS=full" {
			left--
		}
	}
	stop()
	if got := next(); !strings.Contains(got, "WATCHDOG=1") {
		t.Errorf("after a full socket: %q", got)
	}
}

// writer is a function as an io.Writer.
type writer func([]byte) (int, error)

func (w writer) Write(p []byte) (int, error) { return w(p) }
