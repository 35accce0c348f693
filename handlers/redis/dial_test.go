package redis

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestOptions_At(t *testing.T) {
	opt := Options{Addr: "10.0.0.1:6379", Timeout: time.Second, Name: "resec:a"}
	other := opt.At("10.0.0.2:6379").WithTimeout(time.Minute).WithIdlePing()
	if other.Addr != "10.0.0.2:6379" || other.Timeout != time.Minute || other.Name != "resec:a" {
		t.Errorf("got %+v", other)
	}
	if opt.Addr != "10.0.0.1:6379" || opt.Timeout != time.Second {
		t.Errorf("the options themselves changed: %+v", opt)
	}
	for _, tt := range []struct {
		opt             Options
		ping, keepAlive time.Duration
	}{
		{Options{}, pingInterval, pingInterval},
		{Options{Ping: time.Minute}, time.Minute, time.Minute},
		{Options{Ping: time.Minute}.WithIdlePing(), time.Minute, idleInterval},
		{Options{}.AtPeer("10.0.0.2:6379"), peerPingInterval, peerPingInterval},
	} {
		if tt.opt.ping() != tt.ping || tt.opt.keepAlive() != tt.keepAlive {
			t.Errorf("%+v: ping %s, keep-alive %s; want %s, %s", tt.opt, tt.opt.ping(), tt.opt.keepAlive(), tt.ping, tt.keepAlive)
		}
	}
}

func TestConnect_Handshake(t *testing.T) {
	for _, tt := range []struct {
		name string
		opt  Options
		want []string
	}{
		{"without credentials", Options{Name: "resec:a"}, []string{"CLIENT SETNAME resec:a"}},
		{"without a name", Options{}, []string{"CLIENT SETNAME resec"}},
		{"a password alone is of the default user",
			Options{Login: StaticLogin("", "secret")}, []string{"AUTH default secret", "CLIENT SETNAME resec"}},
		{"a user", Options{Login: StaticLogin("u", "secret")}, []string{"AUTH u secret", "CLIENT SETNAME resec"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := newPeer(t, nil)
			conn, err := tt.opt.At(p.addr()).WithTimeout(patience).connect(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if d := cmp.Diff(tt.want, p.received()); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestConnect_Errors(t *testing.T) {
	p := newPeer(t, nil)
	opt := Options{Login: StaticLogin("u", "secret"), sent: &sentPasswords{}}.At(p.addr()).WithTimeout(patience)
	p.fail("AUTH", "-WRONGPASS u secret")
	want := "AUTH on redis " + p.addr() + ": WRONGPASS u …"
	if _, err := opt.connect(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want a redacted error", err)
	}
	p.fail("AUTH", "+OK")
	p.fail("CLIENT SETNAME", "-NOPERM no")
	if _, err := opt.connect(t.Context()); err == nil || !strings.Contains(err.Error(), "CLIENT on redis") {
		t.Errorf("got %v, want an error of CLIENT SETNAME", err)
	}
	_ = p.Close()
	if _, err := opt.connect(t.Context()); !Refused(err) {
		t.Errorf("got %v, want a refused connection", err)
	}
}

// unresponsive is a listener that accepts connections and never replies.
func unresponsive(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var accepting sync.WaitGroup
	var conns []net.Conn
	accepting.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			conns = append(conns, conn)
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		accepting.Wait()
		for _, conn := range conns {
			_ = conn.Close()
		}
	})
	return l.Addr().String()
}

// A handshake ends with the timeout, and with the context.
func TestConnect_IsBounded(t *testing.T) {
	opt := Options{}.At(unresponsive(t))
	if _, err := opt.WithTimeout(10 * time.Millisecond).connect(t.Context()); !isTimeout(err) {
		t.Errorf("got %v, want a timeout", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	began := time.Now()
	if _, err := opt.WithTimeout(time.Minute).connect(ctx); err == nil || time.Since(began) > patience {
		t.Errorf("got %v after %s", err, time.Since(began))
	}
}

// Open is bounded by its context, and the server can be used after the context has ended.
func TestOpen_Context(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	began := time.Now()
	s, err := Open(ctx, Options{Addr: unresponsive(t), Timeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	if took := time.Since(began); took > patience {
		t.Errorf("it took %s", took)
	}
	p := newPeer(t, nil)
	ctx, cancel = context.WithCancel(t.Context())
	s, err = Open(ctx, Options{Addr: p.addr(), Timeout: patience})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	cancel()
	if _, err := s.Status(t.Context()); err != nil {
		t.Error(err)
	}
	if n := p.count("INFO"); n != 1 {
		t.Errorf("INFO was sent %d times, want once", n)
	}
	if s.Addr() != p.addr() {
		t.Errorf("Addr() = %s", s.Addr())
	}
}

// A closed server has no connection, and gets none by a later command: not even if a dial has failed before, after which a
// closed rueidis client connects again.
func TestClose(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	_ = l.Close()
	s, err := Open(t.Context(), Options{Addr: addr, Timeout: patience})
	if err != nil {
		t.Fatal(err)
	}
	p := newPeerAt(t, addr, nil)
	if _, err := s.Status(t.Context()); err != nil {
		t.Fatal(err)
	}
	before := p.count("INFO")
	s.Close()
	for range 3 {
		if _, err := s.Status(t.Context()); err == nil {
			t.Error("a closed server has a status")
		}
	}
	if n := p.count("INFO") - before; n != 0 {
		t.Errorf("a closed server was sent %d commands", n)
	}
}

// A command is sent again when its connection ends, and not when the caller cancels or the timeout passes.
func TestDo_SendsAgainAfterAConnectionEnds(t *testing.T) {
	p := newPeer(t, nil)
	var c counts
	s := p.open(t, Options{Counters: &c})
	if _, err := s.Status(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.disconnect()
	if _, err := s.Status(t.Context()); err != nil || c.errors.Load() != 0 {
		t.Errorf("got %v and %d errors counted, want none", err, c.errors.Load())
	}
}

func TestDo_CountsErrors(t *testing.T) {
	var c counts
	s, err := Open(t.Context(), Options{Addr: unresponsive(t), Timeout: 20 * time.Millisecond, Counters: &c})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.Status(t.Context()); !isTimeout(err) || c.errors.Load() != 1 {
		t.Errorf("after a timeout: got %v and %d errors counted, want 1", err, c.errors.Load())
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Status(ctx); !errors.Is(err, context.Canceled) || c.errors.Load() != 1 {
		t.Errorf("after a cancellation: got %v and %d errors counted, want 1", err, c.errors.Load())
	}
}
