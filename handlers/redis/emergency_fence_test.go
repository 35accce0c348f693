package redis

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var emergency = []string{
	"CONFIG SET min-replicas-max-lag 10", "CONFIG SET min-replicas-to-write 2147483647",
	"CONFIG SET replica-read-only yes", "REPLICAOF 127.0.0.1 1",
}

func TestEmergencyFence_Send(t *testing.T) {
	p := newPeer(t, nil)
	var c counts
	opt := Options{Addr: p.addr(), Name: "resec:a", Login: StaticLogin("u", "secret"), Timeout: patience, Counters: &c}
	f := NewEmergencyFence(opt)
	defer f.Close()
	for range 2 { // the second call finds the connection open
		if err := f.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Send(t.Context()); err != nil {
		t.Error(err)
	}
	want := append([]string{"AUTH u secret", "CLIENT SETNAME resec:a"}, emergency...)
	eventually(t, "all commands", func() bool { return len(p.received()) >= len(want) })
	if d := cmp.Diff(want, p.received()); d != "" {
		t.Error(d)
	}
	if c.fenced.Load() != 1 || c.parked.Load() != 1 || c.errors.Load() != 0 {
		t.Errorf("counted %d fences, %d parks, %d errors; want 1, 1, 0", c.fenced.Load(), c.parked.Load(), c.errors.Load())
	}
}

// Without an open connection the commands are sent all the same, but whether the server accepts them is not known: not in a
// second call either.
func TestEmergencyFence_WithoutHandshake(t *testing.T) {
	p := newPeer(t, nil)
	var c counts
	f := NewEmergencyFence(Options{Timeout: patience, Counters: &c}.At(p.addr()))
	defer f.Close()
	for i := range int32(2) {
		if err := f.Send(t.Context()); !errors.Is(err, errNoHandshake) {
			t.Errorf("got %v, want errNoHandshake", err)
		}
		if c.fenced.Load() != 0 || c.errors.Load() != i+1 {
			t.Errorf("counted %d fences, %d errors; want 0, %d", c.fenced.Load(), c.errors.Load(), i+1)
		}
	}
	want := append([]string{"CLIENT SETNAME resec"}, emergency...)
	eventually(t, "all commands, twice", func() bool { return len(p.received()) == 2*len(want) })
	for _, command := range want {
		if n := p.count(command); n != 2 {
			t.Errorf("%s was sent %d times, want 2", command, n)
		}
	}
}

// A connection that the server has closed is opened again.
func TestEmergencyFence_ConnectsAgain(t *testing.T) {
	p := newPeer(t, nil)
	f := NewEmergencyFence(Options{Timeout: patience}.At(p.addr()))
	defer f.Close()
	for want := 1; want <= 2; want++ {
		if err := f.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := p.count("CLIENT SETNAME"); n != want {
			t.Errorf("%d handshakes, want %d", n, want)
		}
		p.disconnect()
	}
	f.Close()
	_ = p.Listener.Close()
	if err := f.Connect(t.Context()); !Refused(err) {
		t.Errorf("got %v, want a refused connection", err)
	}
	if err := f.Send(t.Context()); !Refused(err) || !strings.Contains(err.Error(), "dial redis") {
		t.Errorf("got %v, want a refused connection", err)
	}
}

// How often the connection is checked and used, for each of the server's own limits.
func TestKeepPause(t *testing.T) {
	for idle, want := range map[time.Duration]time.Duration{
		0: keepInterval, time.Second: 500 * time.Millisecond, 2 * time.Second: time.Second, time.Hour: keepInterval,
	} {
		if got := keepPause(idle); got != want {
			t.Errorf("%s: %s, want %s", idle, got, want)
		}
	}
}

// A connection that the server would end soon is used; another one is not. No reply is waited for.
func TestEmergencyFence_Use(t *testing.T) {
	p := newPeer(t, nil)
	f := NewEmergencyFence(Options{Timeout: patience}.At(p.addr()))
	defer f.Close()
	if err := f.use(time.Second); err != nil {
		t.Errorf("without a connection: %v", err)
	}
	if err := f.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i, tt := range []struct {
		idle, unused time.Duration
		want         int // pings so far
	}{
		{0, time.Hour, 0}, {time.Second, 0, 1}, {time.Hour, time.Minute, 1}, {time.Hour, 30 * time.Minute, 2}, {time.Hour, 0, 2},
	} {
		f.used = time.Now().Add(-tt.unused)
		if err := f.use(tt.idle); err != nil {
			t.Errorf("%d: %v", i, err)
		}
		eventually(t, "pings", func() bool { return p.count("PING") == tt.want })
	}
	p.disconnect()
	eventually(t, "its end is noticed", func() bool { return !f.connected() })
}

// A full socket is not delivered: the wait ends after ackTimeout, and with the context.
func TestWaitForAck_IsBounded(t *testing.T) {
	conn := full(t)
	began := time.Now()
	if err := waitForAck(t.Context(), conn); !errors.Is(err, errNotDelivered) || time.Since(began) < ackTimeout {
		t.Errorf("got %v after %s, want errNotDelivered after %s", err, time.Since(began), ackTimeout)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	began = time.Now()
	if err := waitForAck(ctx, conn); !errors.Is(err, errNotDelivered) || time.Since(began) >= ackTimeout {
		t.Errorf("got %v after %s, want errNotDelivered at once", err, time.Since(began))
	}
	conn.Close()
	if err := waitForAck(t.Context(), conn); err == nil || errors.Is(err, errNotDelivered) {
		t.Errorf("got %v, want an error of a closed connection", err)
	}
	one, other := net.Pipe()
	defer one.Close()
	defer other.Close()
	if err := waitForAck(t.Context(), &limitedConn{Conn: one}); err == nil || !strings.Contains(err.Error(), "*net.pipe") {
		t.Errorf("got %v, want an error that names the type", err)
	}
}

// full is a connection with more bytes written than its peer, which reads none, has room for.
func full(t *testing.T) net.Conn {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	other, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(); _ = other.Close() })
	_ = conn.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
	for chunk := slices.Repeat([]byte("x"), 1<<20); err == nil; {
		_, err = conn.Write(chunk)
	}
	if !isTimeout(err) {
		t.Fatal(err)
	}
	return conn
}
