package httpapi

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
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
		a := newAcceptor(&failing{left: failures}, slog.New(slog.NewTextHandler(&text, nil)))
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

func TestConnLimit(t *testing.T) {
	for _, tt := range []struct {
		descriptors uint64
		want        int
	}{{0, 1}, {3, 1}, {256, 64}, {1024, 256}, {4 * maxConns, maxConns}, {1 << 60, maxConns}} {
		expect.Equal(t, fmt.Sprint(tt.descriptors), connLimit(tt.descriptors), tt.want)
	}
}
