package listen

import (
	"errors"
	"net"
	"sync"
	"time"
)

const (
	// The pause after a connection could not be accepted doubles from the first to the second. Mostly this host has no descriptor
	// left, and whoever connects waits meanwhile.
	minAcceptRetry, maxAcceptRetry = 10 * time.Millisecond, time.Second
	// acceptLogInterval is the least time between two log lines about that.
	acceptLogInterval = 5 * time.Minute
)

// acceptor is a listener that tries again after an error, until it is closed. net/http would log each error.
type acceptor struct {
	net.Listener
	failed func(addr net.Addr, failures int, err error)

	closing sync.Once
	closed  chan struct{}

	// They belong to the goroutine that calls Accept.
	failures int // since the last line
	logged   time.Time
}

func newAcceptor(l net.Listener, failed func(addr net.Addr, failures int, err error)) *acceptor {
	return &acceptor{Listener: l, failed: failed, closed: make(chan struct{})}
}

// Accept returns the next connection. It returns an error only once the listener is closed.
func (a *acceptor) Accept() (net.Conn, error) {
	for pause := minAcceptRetry; ; pause = min(2*pause, maxAcceptRetry) {
		conn, err := a.Listener.Accept()
		if err == nil || errors.Is(err, net.ErrClosed) {
			return conn, err
		}
		a.report(err, time.Now())
		select {
		case <-a.closed:
			return nil, net.ErrClosed
		case <-time.After(pause):
		}
	}
}

// report reports a failure, at most once in acceptLogInterval, with the number of those since the last one.
func (a *acceptor) report(err error, now time.Time) {
	a.failures++
	if !a.logged.IsZero() && now.Sub(a.logged) < acceptLogInterval {
		return
	}
	a.failed(a.Addr(), a.failures, err)
	a.failures, a.logged = 0, now
}

// Close ends Accept.
func (a *acceptor) Close() error {
	a.closing.Do(func() { close(a.closed) })
	return a.Listener.Close()
}
