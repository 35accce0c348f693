package redis

import (
	"context"
	"io"
	"time"
)

// line is a connection that is open only to be missed: it is pinged, and its end is told within milliseconds.
type line struct {
	stop context.CancelFunc
	gone <-chan struct{} // closed as it ends; nil while there is none

	greeted        bool      // by the server, the last one; known as it ends
	opened, closed time.Time // of the last one
}

func (l *line) open(ctx context.Context, s *Server) {
	if l.gone != nil {
		return
	}
	gone := make(chan struct{})
	l.opened, l.gone = time.Now(), gone
	ctx, l.stop = context.WithCancel(ctx)
	go func() {
		defer close(gone)
		l.greeted = s.hold(ctx)
	}()
}

func (l *line) close() {
	if l.gone != nil {
		l.stop()
		<-l.gone
		*l = line{greeted: l.greeted, opened: l.opened, closed: time.Now()}
	}
}

// short tells whether the last connection ended as soon as it began, or was none.
func (l *line) short() bool {
	return l.gone == nil && !l.closed.IsZero() && (!l.greeted || l.closed.Sub(l.opened) < retryMin)
}

// forget lets the next connection be tried.
func (l *line) forget() { l.closed = time.Time{} }

// hold keeps a connection until that ends, or a ping on it is not answered in time, and tells whether there was one. A client of rueidis's would do the same, and wake
// four goroutines for each: an idle agent does little else.
func (s *Server) hold(ctx context.Context) (greeted bool) {
	conn, err := s.opt.greet(ctx)
	if err != nil {
		return false
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	answer := make([]byte, 256)
	for asked, wait := false, s.opt.ping(); ; {
		_ = conn.SetDeadline(time.Now().Add(wait))
		switch _, err := conn.Read(answer); {
		case err == nil:
			asked, wait = false, s.opt.ping()
		case asked || !isTimeout(err):
			return true
		default:
			asked, wait = true, s.opt.Timeout
			_ = conn.SetDeadline(time.Now().Add(wait))
			if _, err := io.WriteString(conn, encode([]string{"PING"})); err != nil {
				return true
			}
		}
	}
}
