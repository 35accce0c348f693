package redis

import (
	"context"
	"io"
	"time"
)

// livenessConn is a connection that is open only to be missed: it is pinged, and its end is told within milliseconds.
type livenessConn struct {
	stop context.CancelFunc
	gone <-chan struct{} // closed as it ends; nil while there is none

	greeted        bool      // by the server, the last one; known as it ends
	unanswered     time.Time // it ended as a ping of then was not answered; zero: it did not
	opened, closed time.Time // of the last one
}

func (l *livenessConn) open(ctx context.Context, s *Server) {
	if l.gone != nil {
		return
	}
	gone := make(chan struct{})
	l.opened, l.gone = time.Now(), gone
	ctx, l.stop = context.WithCancel(ctx)
	go func() {
		defer close(gone)
		l.greeted, l.unanswered = s.keepConnection(ctx)
	}()
}

func (l *livenessConn) close() {
	if l.gone != nil {
		l.stop()
		<-l.gone
		*l = livenessConn{greeted: l.greeted, unanswered: l.unanswered, opened: l.opened, closed: time.Now()}
	}
}

// lookContext is the context of a look: one that is under way when a ping turns out not to be answered, nor any look since that was sent, is
// worth no time of its own.
func (l *livenessConn) lookContext(ctx context.Context, answered time.Time, rest time.Duration) (context.Context, func()) {
	ctx, cancel := context.WithCancel(ctx)
	if l.gone == nil {
		return ctx, cancel
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		select {
		case <-ctx.Done():
			return
		case <-l.gone:
		}
		if l.unanswered.After(answered) && sleep(ctx, rest) {
			cancel()
		}
	}()
	return ctx, func() {
		cancel()
		<-ended
	}
}

// flapping tells whether the last connection ended as soon as it began, or was none.
func (l *livenessConn) flapping() bool {
	return l.gone == nil && !l.closed.IsZero() && (!l.greeted || l.closed.Sub(l.opened) < retryMin)
}

// reset lets the next connection be tried.
func (l *livenessConn) reset() { l.closed = time.Time{} }

// confirmTimeout bounds the look at a server that has not answered a ping: both together take the time of one look, in which it has not
// answered on two connections. A server that hangs for less is not called silent.
func (o Options) confirmTimeout() time.Duration { return min(100*time.Millisecond, o.Timeout/4) }

// keepConnection keeps a connection until that ends, or a ping on it is not answered, and tells whether there was one, and of when that ping was.
// A client of rueidis's would do the same, and wake four goroutines for each: an idle agent does little else.
func (s *Server) keepConnection(ctx context.Context) (greeted bool, silent time.Time) {
	conn, err := s.opt.connect(ctx)
	if err != nil {
		return false, silent
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	answer := make([]byte, 256)
	for asked, wait := false, s.opt.ping(); ; {
		_ = conn.SetDeadline(time.Now().Add(wait))
		switch _, err := conn.Read(answer); {
		case err == nil:
			asked, wait = false, s.opt.ping()
		case !isTimeout(err):
			return true, time.Time{}
		case asked && ctx.Err() != nil:
			return true, time.Time{}
		case asked:
			return true, silent
		default:
			asked, wait, silent = true, s.opt.Timeout-s.opt.confirmTimeout(), time.Now()
			_ = conn.SetDeadline(time.Now().Add(wait))
			if _, err := io.WriteString(conn, encode([]string{"PING"})); err != nil {
				return true, time.Time{}
			}
		}
	}
}
