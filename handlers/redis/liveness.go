package redis

import (
	"context"
	"io"
	"net"
	"time"
)

// livenessConn is a connection that is only kept open to notice its end within milliseconds. It is pinged. Its owner opens
// and closes it; one goroutine reads from it, which close joins.
type livenessConn struct {
	stop  context.CancelFunc
	ended <-chan struct{} // closed when the connection has ended; nil if none was opened

	// Of the last connection. The first two are written by its goroutine, and read after ended is closed.
	accepted       bool      // the server completed the handshake
	unanswered     time.Time // the ping sent then was not answered, which ended the connection; zero: it ended otherwise
	opened, closed time.Time
}

// open opens the connection, unless there is one.
func (l *livenessConn) open(ctx context.Context, s *Server) {
	if l.ended != nil {
		return
	}
	ended := make(chan struct{})
	l.opened, l.ended = time.Now(), ended
	ctx, l.stop = context.WithCancel(ctx)
	go func() {
		defer close(ended)
		l.accepted, l.unanswered = s.keepConnection(ctx)
	}()
}

// close ends the connection and joins its goroutine.
func (l *livenessConn) close() {
	if l.ended == nil {
		return
	}
	l.stop()
	<-l.ended
	*l = livenessConn{accepted: l.accepted, unanswered: l.unanswered, opened: l.opened, closed: time.Now()}
}

// probeContext is the context of a probe. It ends soon after a ping times out that was sent after repliedAt: then the ping
// and the probe together take one timeout, not two. The caller must call the function that it returns.
func (l *livenessConn) probeContext(ctx context.Context, repliedAt time.Time, rest time.Duration) (context.Context, func()) {
	ctx, cancel := context.WithCancel(ctx)
	if l.ended == nil {
		return ctx, cancel
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		select {
		case <-ctx.Done():
			return
		case <-l.ended:
		}
		if l.unanswered.After(repliedAt) && sleep(ctx, rest) {
			cancel()
		}
	}()
	return ctx, func() {
		cancel()
		<-done
	}
}

// flapping reports whether the last connection was rejected, or ended within retryMin.
func (l *livenessConn) flapping() bool {
	if l.ended != nil || l.closed.IsZero() {
		return false
	}
	return !l.accepted || l.closed.Sub(l.opened) < retryMin
}

// reset forgets the last connection, so that the next one is tried.
func (l *livenessConn) reset() { l.closed = time.Time{} }

// maxConfirmTimeout bounds confirmTimeout.
const maxConfirmTimeout = 100 * time.Millisecond

// confirmTimeout bounds the probe of a server that has left a ping unanswered. Ping and probe together take one timeout, and
// the server has answered on neither of two connections by then. A server that hangs for less is not called unreachable.
func (o Options) confirmTimeout() time.Duration { return min(maxConfirmTimeout, o.Timeout/4) }

// pingTimeout bounds the wait for the answer to a ping.
func (o Options) pingTimeout() time.Duration { return o.Timeout - o.confirmTimeout() }

// keepConnection keeps a connection open until it ends, a ping on it is not answered, or the context ends. It reports whether
// the server accepted the connection, and when a ping was sent that was not answered. It is written by hand because a rueidis
// client wakes four goroutines for each ping, and pings are most of what an idle agent does.
func (s *Server) keepConnection(ctx context.Context) (accepted bool, unanswered time.Time) {
	conn, err := s.opt.connect(ctx)
	if err != nil {
		return false, time.Time{}
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	for {
		if ended := waitForEnd(conn, s.opt.ping()); ended {
			return true, time.Time{}
		}
		sent := time.Now()
		_ = conn.SetDeadline(sent.Add(s.opt.pingTimeout()))
		if _, err := io.WriteString(conn, encodeCommand([]string{"PING"})); err != nil {
			return true, time.Time{}
		}
		switch _, err := conn.Read(make([]byte, replyBuffer)); {
		case err == nil:
		case isTimeout(err) && ctx.Err() == nil:
			return true, sent
		default:
			return true, time.Time{}
		}
	}
}

// replyBuffer is larger than any reply to a ping.
const replyBuffer = 256 // bytes

// waitForEnd reports whether the connection ends within d. The rest of a reply that comes meanwhile is skipped.
func waitForEnd(conn net.Conn, d time.Duration) bool {
	_ = conn.SetDeadline(time.Now().Add(d))
	for skipped := make([]byte, replyBuffer); ; {
		if _, err := conn.Read(skipped); err != nil {
			return !isTimeout(err)
		}
	}
}
