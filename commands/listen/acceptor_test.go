package listen

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"

	"resec/commands/expect"
)

// failing is a listener that fails so often, and then accepts.
type failing struct {
	net.Listener
	left int
}

func (f *failing) Accept() (net.Conn, error) {
	if f.left--; f.left >= 0 {
		return nil, &net.OpError{Op: "accept", Err: syscall.EMFILE}
	}
	return nil, nil
}

func (f *failing) Addr() net.Addr { return &net.TCPAddr{} }
func (f *failing) Close() error   { return nil }

// A connection that cannot be accepted is tried again, and logged once in five minutes.
func TestAcceptor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var text bytes.Buffer
		const failures = 400 // a second apart, but for the first
		a := newAcceptor(&failing{left: failures}, func(_ net.Addr, n int, _ error) { fmt.Fprintf(&text, "failures=%d \n", n) })
		_, err := a.Accept()
		expect.OK(t, err)
		if n := strings.Count(text.String(), "\n"); n != 2 {
			t.Errorf("%d lines:\n%s", n, text.String())
		}
		for _, want := range []string{"failures=1 ", "failures=306 "} {
			if !strings.Contains(text.String(), want) {
				t.Errorf("no %q in:\n%s", want, text.String())
			}
		}
		expect.OK(t, a.Close())
		a.Listener = &failing{left: 1}
		if _, err := a.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("closed: %v", err)
		}
	})
}

func TestMaxConns(t *testing.T) {
	for _, tt := range []struct {
		descriptors uint64
		want        int
	}{{0, 1}, {3, 1}, {256, 64}, {1024, 256}, {2048, 512}, {1 << 60, 512}} {
		expect.Equal(t, fmt.Sprint(tt.descriptors), maxConns(tt.descriptors, 512, 0.25), tt.want)
	}
	expect.Equal(t, "a smaller part", maxConns(1024, 512, 0.125), 128)
}

// An address that cannot be listened on is an error that names the variable.
func TestOn(t *testing.T) {
	l, err := On(t.Context(), "LISTEN_ADDR", "127.0.0.1:0", nil)
	expect.OK(t, err)
	defer l.Close()
	_, err = On(t.Context(), "LISTEN_ADDR", l.Addr().String(), nil)
	if want := "listen on LISTEN_ADDR " + l.Addr().String() + ": bind: address already in use"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}
