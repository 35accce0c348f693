package redis

import (
	"context"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// watching is a Watch in the background.
type watching struct {
	poke    chan struct{}
	reports chan Health
	stop    func()
}

func watch(t *testing.T, s *Server, p Probe) *watching {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	w := &watching{poke: make(chan struct{}), reports: make(chan Health, 1000)}
	var running sync.WaitGroup
	running.Go(func() { s.Watch(ctx, p, w.poke, func(h Health) { w.reports <- h }) })
	w.stop = func() { cancel(); running.Wait() }
	t.Cleanup(w.stop)
	return w
}

// next is the next report.
func (w *watching) next(t *testing.T) Health {
	t.Helper()
	select {
	case h := <-w.reports:
		return h
	case <-time.After(patience):
		t.Fatal("no report in time")
		return Health{}
	}
}

// until returns the first report that the condition holds for.
func (w *watching) until(t *testing.T, what string, condition func(Health) bool) Health {
	t.Helper()
	timeout := time.After(patience)
	for {
		select {
		case h := <-w.reports:
			if condition(h) {
				return h
			}
		case <-timeout:
			t.Fatalf("no report in time: %s", what)
		}
	}
}

var rarely = Probe{Every: time.Hour, Timeout: patience, Failures: 2}

func TestWatch_ReportsAtOnceAndWhenPoked(t *testing.T) {
	p := newPeer(t, nil)
	w := watch(t, p.open(t, Options{Ping: time.Hour}), rarely)
	began := time.Now()
	h := w.next(t)
	if h.Err != nil || h.AccessErr != nil || h.Status.RunID != id40("a") {
		t.Errorf("got %+v", h)
	}
	if h.At.After(time.Now()) || h.At.Before(began.Add(-time.Minute)) {
		t.Errorf("the probe began at %s", h.At)
	}
	p.setInfo(map[string]string{"run_id": id40("c")})
	w.poke <- struct{}{}
	if h := w.next(t); h.Status.RunID != id40("c") {
		t.Errorf("got %+v", h)
	}
}

func TestWatch_ProbesEachInterval(t *testing.T) {
	p := newPeer(t, nil)
	w := watch(t, p.open(t, Options{}), Probe{Every: time.Millisecond, Timeout: patience, Failures: 1})
	for range 5 {
		if h := w.next(t); h.Err != nil {
			t.Errorf("got %v", h.Err)
		}
	}
}

// The end of the liveness connection causes a probe, and the pings are answered meanwhile.
func TestWatch_NoticesTheEndOfItsConnection(t *testing.T) {
	p := newPeer(t, nil)
	w := watch(t, p.open(t, Options{Ping: time.Millisecond}), rarely)
	w.next(t)
	eventually(t, "three pings", func() bool { return p.count("PING") >= 3 })
	p.disconnect()
	if h := w.next(t); h.Err != nil {
		t.Errorf("got %v, want a usable server: its connection ended, and it answers", h.Err)
	}
	_ = p.Close()
	p.disconnect()
	if h := w.until(t, "refused", func(h Health) bool { return h.Err != nil }); !Refused(h.Err) || h.Status.RunID != id40("a") {
		t.Errorf("got %+v, want a refused connection and the last known status", h)
	}
}

// A server that stops replying is noticed by the ping within the timeout, long before the next probe.
func TestWatch_NoticesAServerThatHangs(t *testing.T) {
	p := newPeer(t, nil)
	var hang atomic.Bool
	release := make(chan struct{})
	t.Cleanup(func() { close(release) })
	p.handler = func(string) (string, bool) {
		if hang.Load() {
			p.mu.Unlock()
			<-release
			p.mu.Lock()
		}
		return "", false
	}
	opt := Options{Ping: 10 * time.Millisecond, Timeout: 400 * time.Millisecond}
	w := watch(t, p.open(t, opt), Probe{Every: time.Hour, Timeout: 400 * time.Millisecond, Failures: 1})
	w.next(t)
	eventually(t, "a ping", func() bool { return p.count("PING") >= 1 })
	hang.Store(true)
	began := time.Now()
	h := w.until(t, "unreachable", func(h Health) bool { return h.Err != nil })
	if !Unreachable(h.Err) || !isTimeout(h.Err) {
		t.Errorf("got %v, want a timeout", h.Err)
	}
	if took := time.Since(began); took < 300*time.Millisecond {
		t.Errorf("noticed after %s, want the timeout of the ping at least", took)
	}
}

// Fewer unanswered probes than Failures are not reported.
func TestWatch_CountsUnansweredProbes(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var dials atomic.Int32
	var accepting sync.WaitGroup
	accepting.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			dials.Add(1)
			accepting.Go(func() { _, _ = io.Copy(io.Discard, conn); _ = conn.Close() })
		}
	})
	defer accepting.Wait()
	defer l.Close()
	s, err := Open(t.Context(), Options{Addr: l.Addr().String(), Timeout: 20 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	before := dials.Load()
	w := watch(t, s, Probe{Every: time.Hour, Timeout: 20 * time.Millisecond, Failures: 3})
	defer w.stop()
	if h := w.next(t); !Unreachable(h.Err) {
		t.Errorf("got %v, want an unreachable server", h.Err)
	}
	if n := dials.Load() - before; n < 2 {
		t.Errorf("%d dials before the report, want one for each probe but the first", n)
	}
}

func TestCheck_KeepsTheRejectionAfterATimeout(t *testing.T) {
	p := newPeer(t, nil)
	var infos atomic.Int32
	p.handler = func(command string) (string, bool) {
		if command != "INFO" {
			return "", false
		}
		if infos.Add(1) == 1 {
			return "-NOPERM no\r\n", true
		}
		return "", true // no reply
	}
	_, err := p.open(t, Options{}).check(t.Context(), 3*retryMin)
	if !accessRejected(err) || infos.Load() != 2 {
		t.Errorf("got %v after %d probes, want NOPERM after 2", err, infos.Load())
	}
}

// An ended connection is retried until the timeout, and a refused one is not.
func TestCheck_Retries(t *testing.T) {
	p := newPeer(t, nil)
	var infos atomic.Int32
	p.handler = func(command string) (string, bool) {
		if command == "INFO" && infos.Add(1) <= 6 {
			return "no reply of redis\r\n", true
		}
		return "", false
	}
	s := p.open(t, Options{})
	if _, err := s.check(t.Context(), patience); err != nil {
		t.Errorf("got %v, want success in the end", err)
	}
	_ = p.Close()
	p.disconnect()
	began := time.Now()
	if _, err := s.check(t.Context(), time.Minute); !Refused(err) || time.Since(began) > patience {
		t.Errorf("got %v after %s, want a refused connection at once", err, time.Since(began))
	}
}
