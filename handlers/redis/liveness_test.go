package redis

import (
	"bufio"
	"context"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestFlapping(t *testing.T) {
	at := time.Unix(1, 0)
	ended := make(chan struct{})
	for _, tt := range []struct {
		name string
		conn livenessConn
		want bool
	}{
		{"none so far", livenessConn{}, false},
		{"one is open", livenessConn{ended: ended, opened: at, closed: at}, false},
		{"one was rejected", livenessConn{opened: at, closed: at.Add(time.Hour)}, true},
		{"one ended early", livenessConn{accepted: true, opened: at, closed: at.Add(retryMin - 1)}, true},
		{"one ended late", livenessConn{accepted: true, opened: at, closed: at.Add(retryMin)}, false},
	} {
		if got := tt.conn.flapping(); got != tt.want {
			t.Errorf("%s: got %t", tt.name, got)
		}
		if tt.conn.reset(); tt.conn.flapping() {
			t.Errorf("%s: still flapping after a reset", tt.name)
		}
	}
}

// A probe is cut short if a ping was left unanswered that was sent after the last reply.
func TestProbeContext(t *testing.T) {
	at := time.Unix(1, 0)
	closed := make(chan struct{})
	close(closed)
	for _, tt := range []struct {
		name string
		conn livenessConn
		ends bool
	}{
		{"no connection", livenessConn{}, false},
		{"an open connection", livenessConn{ended: make(chan struct{})}, false},
		{"a connection that ended otherwise", livenessConn{ended: closed}, false},
		{"an earlier ping was not answered", livenessConn{ended: closed, unanswered: at}, false},
		{"a later ping was not answered", livenessConn{ended: closed, unanswered: at.Add(1)}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ctx, end := tt.conn.probeContext(t.Context(), at, time.Millisecond)
			wait := 20 * time.Millisecond
			if tt.ends {
				wait = patience
			}
			select {
			case <-ctx.Done():
			case <-time.After(wait):
			}
			if ended := ctx.Err() != nil; ended != tt.ends {
				t.Errorf("ended %t, want %t", ended, tt.ends)
			}
			end()
			if ctx.Err() == nil {
				t.Error("the context outlives the probe")
			}
		})
	}
}

func TestConfirmTimeout(t *testing.T) {
	for timeout, want := range map[time.Duration]time.Duration{
		100 * time.Millisecond: 25 * time.Millisecond,
		400 * time.Millisecond: 100 * time.Millisecond,
		time.Hour:              100 * time.Millisecond,
	} {
		opt := Options{Timeout: timeout}
		if got := opt.confirmTimeout(); got != want || opt.pingTimeout()+got != timeout {
			t.Errorf("of %s: %s to confirm and %s for the ping, want %s and the rest", timeout, got, opt.pingTimeout(), want)
		}
	}
}

func TestLivenessConn_OpensOnce(t *testing.T) {
	p := newPeer(t, nil)
	s := p.open(t, Options{Ping: time.Hour})
	var conn livenessConn
	conn.close() // without a connection
	before := p.count("CLIENT SETNAME")
	conn.open(t.Context(), s)
	conn.open(t.Context(), s)
	eventually(t, "a handshake", func() bool { return p.count("CLIENT SETNAME") > before })
	conn.close()
	if n := p.count("CLIENT SETNAME") - before; n != 1 || conn.ended != nil || conn.closed.IsZero() || !conn.unanswered.IsZero() {
		t.Errorf("%d connections, %+v", n, conn)
	}
}

// keepConnection distinguishes an unanswered ping from every other end.
func TestKeepConnection(t *testing.T) {
	for _, tt := range []struct {
		name                 string
		ping                 string // the reply; empty: none
		setname              string
		accepted, unanswered bool
	}{
		{"a ping that is not answered", "", "+OK\r\n", true, true},
		{"a handshake that is rejected", "+PONG\r\n", "-NOPERM no\r\n", false, false},
		{"a reply that is none", "PONG\r\n", "+OK\r\n", true, false},
		{"a handshake with another reply behind it", "PONG\r\n", "+OK\r\n", true, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := newPeer(t, nil)
			p.handler = func(command string) (string, bool) {
				if command == "PING" {
					return tt.ping, true
				}
				return tt.setname, strings.HasPrefix(command, "CLIENT SETNAME")
			}
			s := &Server{opt: Options{Addr: p.addr(), Timeout: 40 * time.Millisecond, Ping: time.Millisecond}}
			began := time.Now()
			accepted, unanswered := s.keepConnection(t.Context())
			if accepted != tt.accepted || unanswered.IsZero() == tt.unanswered {
				t.Errorf("got accepted %t, unanswered since %s", accepted, unanswered)
			}
			if tt.unanswered && (unanswered.Before(began) || time.Since(unanswered) < s.opt.pingTimeout()) {
				t.Errorf("sent at %s, began at %s", unanswered, began)
			}
		})
	}
}

// A connection that the server ends after the handshake was accepted.
func TestKeepConnection_EndedByTheServer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var serving sync.WaitGroup
	defer serving.Wait()
	serving.Go(func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		if _, err := readCommand(bufio.NewReader(conn)); err == nil {
			_, _ = io.WriteString(conn, "+OK\r\n")
		}
	})
	s := &Server{opt: Options{Addr: l.Addr().String(), Timeout: patience, Ping: time.Hour}}
	if accepted, unanswered := s.keepConnection(t.Context()); !accepted || !unanswered.IsZero() {
		t.Errorf("got accepted %t, unanswered since %s", accepted, unanswered)
	}
}

// A context that ends while a ping is under way is no unanswered ping.
func TestKeepConnection_EndsWithTheContext(t *testing.T) {
	p := newPeer(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	p.handler = func(command string) (string, bool) {
		if command == "PING" {
			cancel()
			return "", true
		}
		return "", false
	}
	s := &Server{opt: Options{Addr: p.addr(), Timeout: patience, Ping: time.Millisecond}}
	if accepted, unanswered := s.keepConnection(ctx); !accepted || !unanswered.IsZero() {
		t.Errorf("got accepted %t, unanswered since %s", accepted, unanswered)
	}
}
