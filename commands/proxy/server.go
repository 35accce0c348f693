package proxy

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"resec/commands/topology"
)

const (
	// dialTimeout bounds one try to connect to a target.
	dialTimeout = time.Second
	// dialRetry is the pause after a target refused a connection: it may be about to be replaced.
	dialRetry = 10 * time.Millisecond
	// quiet is after how long without a byte a connection is at rest, so that a drain may end it.
	quiet = 100 * time.Millisecond
	// lingering is how long a client may read what it was sent last.
	lingering = time.Second
	// refusing bounds the answer to a client that is one too many. It fits into an empty socket.
	refusing = 10 * time.Millisecond
)

// Options say how a Server works. Those of a Server never change.
type Options struct {
	// Choose waits for the target of a client: the n-th one. Stays reports whether the clients of a target may stay.
	Choose   func(ctx context.Context, n uint64) (topology.Instance, error)
	Stays    func(topology.Instance) bool
	Hold     time.Duration // for so long a client waits for a target
	Refusal  string        // what a client gets if there is none in time; empty: nothing
	MaxConns int
	Port     string // its name in the metrics: "write" or "read"
}

// Server passes clients on to targets. Any goroutine may call its methods.
type Server struct {
	Options
	listener net.Listener
	counters counters

	ctx     context.Context
	cancel  context.CancelFunc
	serving sync.WaitGroup
	mu      sync.Mutex
	links   map[*link]struct{}
	total   int // connections, with those that wait
	next    atomic.Uint64
}

// Serve starts a server on a listener, whose Accept returns an error only once it is closed.
func Serve(ctx context.Context, l net.Listener, o Options) *Server {
	s := &Server{Options: o, listener: l, links: map[*link]struct{}{}}
	s.ctx, s.cancel = context.WithCancel(ctx)
	s.serving.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			if !s.enter() {
				s.counters.refused.Add(1)
				_ = c.SetWriteDeadline(time.Now().Add(refusing))
				_, _ = io.WriteString(c, "-ERR max number of clients reached\r\n") // as Redis says
				_ = c.Close()
				continue
			}
			s.counters.accepted.Add(1)
			s.serving.Go(func() {
				defer s.leave()
				s.serve(c.(*net.TCPConn))
			})
		}
	})
	return s
}

func (s *Server) enter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ctx.Err() != nil || s.total >= s.MaxConns {
		return false
	}
	s.total++
	return true
}

func (s *Server) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.total--
}

// serve connects a client, and passes bytes on until one of the two ends.
func (s *Server) serve(client *net.TCPConn) {
	defer client.Close()
	l, err := s.connect(client)
	if err != nil {
		if s.ctx.Err() == nil && s.Refusal != "" {
			_ = client.SetDeadline(time.Now().Add(lingering))
			_, _ = client.Write([]byte("-" + s.Refusal + "\r\n"))
			_ = client.CloseWrite()
			_, _ = io.Copy(io.Discard, client) // what it sent must not reset the connection before it has read the answer
		}
		s.counters.refused.Add(1)
		return
	}
	s.counters.open.Add(1)
	defer s.counters.open.Add(-1)
	defer s.remove(l)
	defer l.redis.Close()
	alive(client)
	alive(l.redis)
	var up sync.WaitGroup
	up.Go(func() {
		if relay(l.redis, client, &l.passed[0]) != nil {
			l.end()
		}
	})
	if relay(client, l.redis, &l.passed[1]) != nil {
		l.end()
	}
	// Redis has ended the connection, and the client has been sent all. It may read that, and then ends it, too.
	_ = client.SetReadDeadline(time.Now().Add(lingering))
	up.Wait()
}

// connect connects a client to a target, and tries again until Hold has passed.
func (s *Server) connect(client *net.TCPConn) (*link, error) {
	ctx, cancel := context.WithTimeout(s.ctx, s.Hold)
	defer cancel()
	s.counters.waiting.Add(1)
	defer s.counters.waiting.Add(-1)
	defer func(began time.Time) {
		if time.Since(began) > dialRetry {
			s.counters.held.Add(1)
		}
	}(time.Now())
	for n := s.next.Add(1); ; {
		to, err := s.Choose(ctx, n)
		if err != nil {
			return nil, err
		}
		conn, err := (&net.Dialer{Timeout: dialTimeout}).DialContext(ctx, "tcp", to.Addr)
		if err == nil {
			l := &link{client: client, redis: conn.(*net.TCPConn), to: to}
			if s.add(l) && s.Stays(to) { // it may have been replaced before the link was added
				return l, nil
			}
			s.remove(l)
			_ = conn.Close()
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(err, context.Cause(ctx))
		case <-time.After(dialRetry):
		}
	}
}

// add notes a link, unless the server is being closed.
func (s *Server) add(l *link) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ctx.Err() != nil {
		return false
	}
	s.links[l] = struct{}{}
	return true
}

func (s *Server) remove(l *link) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, known := s.links[l]; known {
		s.counters.bytes.Add(l.bytes())
		delete(s.links, l)
	}
}

// Cut disconnects the clients of each target that may not stay, and returns how many. It is called after a change of what Stays
// reports.
func (s *Server) Cut() (n int) {
	for _, l := range s.all() {
		if !s.Stays(l.to) {
			n++
			l.end()
		}
	}
	s.counters.cut.Add(int64(n))
	return n
}

func (s *Server) all() []*link {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]*link, 0, len(s.links))
	for l := range s.links {
		out = append(out, l)
	}
	return out
}

// Drain stops accepting, and disconnects each client once nothing was passed on for a moment: between two requests, if it is no
// subscriber. It returns when all have gone, or when the context ends.
func (s *Server) Drain(ctx context.Context) {
	_ = s.listener.Close()
	last := map[*link]int64{}
	for tick := time.NewTicker(quiet); ; {
		all := s.all()
		if len(all) == 0 {
			return
		}
		for _, l := range all {
			now := l.bytes()
			if before, known := last[l]; known && before == now {
				l.end()
			}
			last[l] = now
		}
		select {
		case <-ctx.Done():
			tick.Stop()
			return
		case <-tick.C:
		}
	}
}

// Close disconnects all clients, and returns when all goroutines have ended.
func (s *Server) Close() {
	s.cancel()
	_ = s.listener.Close()
	for _, l := range s.all() {
		l.end()
	}
	s.serving.Wait()
}
