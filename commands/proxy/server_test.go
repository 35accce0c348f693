package proxy

import (
	"context"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"resec/commands/expect"
	"resec/commands/topology"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// backend is a server that gives back what it is sent, and counts its connections.
type backend struct {
	net.Listener
	accepted atomic.Int64
}

func echo(t *testing.T) *backend {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	expect.OK(t, err)
	b := &backend{Listener: l}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			b.accepted.Add(1)
			go func() { defer c.Close(); _, _ = io.Copy(c, c) }()
		}
	}()
	return b
}

func (b *backend) instance() topology.Instance {
	return topology.Instance{Addr: b.Addr().String(), RunID: "run", Up: true}
}

// passing starts a proxy that the test stops.
func passing(t *testing.T, o Options) *Server {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	expect.OK(t, err)
	if o.MaxConns == 0 {
		o.MaxConns = 100
	}
	if o.Hold == 0 {
		o.Hold = 10 * time.Second
	}
	if o.Stays == nil {
		o.Stays = func(topology.Instance) bool { return true }
	}
	s := Serve(t.Context(), l, o)
	t.Cleanup(s.Close)
	return s
}

// to always chooses one target.
func to(i topology.Instance) func(context.Context, uint64) (topology.Instance, error) {
	return func(context.Context, uint64) (topology.Instance, error) { return i, nil }
}

func dial(t *testing.T, s *Server) *net.TCPConn {
	t.Helper()
	c, err := net.Dial("tcp", s.listener.Addr().String())
	expect.OK(t, err)
	t.Cleanup(func() { _ = c.Close() })
	expect.OK(t, c.SetDeadline(time.Now().Add(expect.Patience)))
	return c.(*net.TCPConn)
}

// says sends a text, and returns an error unless it comes back.
func says(c net.Conn, text string) error {
	if _, err := io.WriteString(c, text); err != nil {
		return err
	}
	back := make([]byte, len(text))
	if _, err := io.ReadFull(c, back); err != nil {
		return err
	}
	if string(back) != text {
		return errors.New("got " + string(back))
	}
	return nil
}

// Bytes pass both ways, and a client that has sent all still gets what comes back.
func TestServer_HalfClose(t *testing.T) {
	s := passing(t, Options{Choose: to(echo(t).instance())})
	c := dial(t, s)
	expect.OK(t, says(c, "hello"))
	_, err := io.WriteString(c, "last")
	expect.OK(t, err)
	expect.OK(t, c.CloseWrite())
	rest, err := io.ReadAll(c)
	if err != nil || string(rest) != "last" {
		t.Errorf("got %q %v", rest, err)
	}
}

// A large transfer passes whole while the client reads slowly.
func TestServer_Large(t *testing.T) {
	s := passing(t, Options{Choose: to(echo(t).instance())})
	c := dial(t, s)
	const size = 8 << 20
	sent := make(chan error, 1)
	go func() {
		_, err := c.Write(make([]byte, size))
		sent <- errors.Join(err, c.CloseWrite())
	}()
	n, err := io.Copy(io.Discard, c)
	if err2 := <-sent; err != nil || err2 != nil || n != size {
		t.Errorf("%d bytes: %v %v", n, err, err2)
	}
}

// A client waits for a target, and gets an error if there is none in time.
func TestServer_Hold(t *testing.T) {
	ready := make(chan struct{})
	b := echo(t)
	s := passing(t, Options{Hold: expect.Patience, Choose: func(ctx context.Context, _ uint64) (topology.Instance, error) {
		select {
		case <-ready:
			return b.instance(), nil
		case <-ctx.Done():
			return topology.Instance{}, ctx.Err()
		}
	}})
	c := dial(t, s)
	done := make(chan error, 1)
	go func() { done <- says(c, "early") }()
	close(ready)
	expect.OK(t, <-done)

	none := passing(t, Options{Hold: time.Millisecond, Refusal: "ERR no master", Choose: func(ctx context.Context, _ uint64) (topology.Instance, error) {
		<-ctx.Done()
		return topology.Instance{}, ctx.Err()
	}})
	refused := dial(t, none)
	_, err := io.WriteString(refused, "PING\r\n")
	expect.OK(t, err)
	answer, err := io.ReadAll(refused)
	if err != nil || string(answer) != "-ERR no master\r\n" {
		t.Errorf("got %q %v", answer, err)
	}
}

// A target that refuses connections is tried again.
func TestServer_TargetComesUp(t *testing.T) {
	b := echo(t)
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	expect.OK(t, err)
	nobody := topology.Instance{Addr: gone.Addr().String()}
	expect.OK(t, gone.Close())
	var tries atomic.Int64
	s := passing(t, Options{Choose: func(context.Context, uint64) (topology.Instance, error) {
		if tries.Add(1) < 3 {
			return nobody, nil
		}
		return b.instance(), nil
	}})
	expect.OK(t, says(dial(t, s), "hello"))
	expect.Equal(t, "clients that waited", s.counters.held.Load(), 1)
}

// A change of master disconnects its clients, and no others.
func TestServer_Cut(t *testing.T) {
	old, other := echo(t), echo(t)
	var now atomic.Pointer[topology.Instance]
	choose := func(i topology.Instance) { now.Store(&i) }
	choose(old.instance())
	s := passing(t, Options{Choose: func(context.Context, uint64) (topology.Instance, error) { return *now.Load(), nil },
		Stays: func(i topology.Instance) bool { return i.Addr == now.Load().Addr }})
	first := dial(t, s)
	expect.OK(t, says(first, "hello"))
	choose(other.instance())
	second := dial(t, s)
	expect.OK(t, says(second, "hello"))
	s.Cut()
	if _, err := first.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("a client of the old master: %v", err)
	}
	expect.OK(t, says(second, "again"))
	expect.Equal(t, "cut", s.counters.cut.Load(), 1)
}

func TestServer_TooMany(t *testing.T) {
	s := passing(t, Options{MaxConns: 1, Choose: to(echo(t).instance())})
	first := dial(t, s)
	expect.OK(t, says(first, "hello"))
	answer, err := io.ReadAll(dial(t, s))
	if err != nil || string(answer) != "-ERR max number of clients reached\r\n" {
		t.Errorf("one too many gets %q %v", answer, err)
	}
	expect.OK(t, says(first, "again"))
}

// A drain lets a client that is busy finish, and ends one that rests.
func TestServer_Drain(t *testing.T) {
	s := passing(t, Options{Choose: to(echo(t).instance())})
	resting, busy := dial(t, s), dial(t, s)
	expect.OK(t, says(resting, "hello"))
	stop, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		var err error
		for err == nil {
			select {
			case <-stop:
				ended <- nil
				return
			default:
				err = says(busy, "work")
			}
		}
		ended <- err
	}()
	drained := make(chan struct{})
	go func() { defer close(drained); s.Drain(t.Context()) }()
	if _, err := resting.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("a client that rests: %v", err)
	}
	select {
	case err := <-ended:
		t.Errorf("a busy client was ended: %v", err)
	default:
	}
	close(stop)
	expect.OK(t, <-ended)
	select {
	case <-drained:
	case <-time.After(expect.Patience):
		t.Error("the drain does not end")
	}
}
