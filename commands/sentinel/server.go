package sentinel

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"resec/commands/topology"
)

// Topology is what clients are answered by.
type Topology = topology.Topology

// Options say how a server answers.
type Options struct {
	ID        string        // of this endpoint; see topology.ID
	DownAfter time.Duration // down-after-milliseconds in the answers
	// Login returns the user and the password that clients must send. An empty password: none is needed.
	Login func() (user, password string)
	TLS   *tls.Config // nil: no TLS
	// Failover moves the master to the replica with the most recent data, without losing a write. It returns ErrInProgress if a
	// request is under way, and a RefusedError if the cluster refuses it. nil: clients cannot ask for it.
	Failover func(context.Context) error
	MaxConns int
	Log      *slog.Logger
}

// Server answers clients as a Sentinel would. One goroutine may call Publish, and any goroutine the other methods.
type Server struct {
	Options
	listener net.Listener
	started  time.Time
	topology atomic.Pointer[Topology]
	ids      atomic.Int64 // of the last client

	ctx     context.Context // of all clients
	cancel  context.CancelFunc
	serving sync.WaitGroup
	mu      sync.Mutex
	conns   map[*conn]struct{}
}

// Serve starts a server on a listener, whose Accept returns an error only once it is closed. Close closes it. Until the first
// Publish no master is known.
func Serve(ctx context.Context, l net.Listener, name string, o Options) *Server {
	s := &Server{Options: o, listener: l, started: time.Now(), conns: map[*conn]struct{}{}}
	s.topology.Store(&Topology{Name: name})
	s.ctx, s.cancel = context.WithCancel(ctx)
	s.serving.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.serve(c)
		}
	})
	return s
}

// Topology returns what clients are answered by.
func (s *Server) Topology() Topology { return *s.topology.Load() }

// Publish changes what clients are answered by, and sends subscribers what has happened. It does not wait for a client.
func (s *Server) Publish(t Topology) {
	before := s.topology.Swap(&t)
	all := events(*before, t)
	if len(all) == 0 {
		return
	}
	for _, c := range s.clients() {
		c.deliver(all)
	}
}

// Close disconnects all clients, and returns when all goroutines have ended.
func (s *Server) Close() {
	s.cancel()
	_ = s.listener.Close()
	for _, c := range s.clients() {
		_ = c.raw.Close()
	}
	s.serving.Wait()
}

// serve starts the goroutines of a client, or refuses it if there are too many.
func (s *Server) serve(nc net.Conn) {
	c := newConn(s, nc)
	switch closing, full := s.add(c); {
	case closing:
		_ = nc.Close()
	case full:
		s.serving.Go(func() { refuse(nc) })
	default:
		s.serving.Go(func() {
			defer s.remove(c)
			c.run()
		})
	}
}

func (s *Server) add(c *conn) (closing, full bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	closing, full = s.ctx.Err() != nil, len(s.conns) >= s.MaxConns
	if !closing && !full {
		s.conns[c] = struct{}{}
	}
	return closing, full
}

func (s *Server) remove(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
}

// clients are the connected ones.
func (s *Server) clients() []*conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]*conn, 0, len(s.conns))
	for c := range s.conns {
		out = append(out, c)
	}
	return out
}

// refuseTimeout bounds the answer to a client that is one too many.
const refuseTimeout = time.Second

func refuse(c net.Conn) {
	_ = c.SetDeadline(time.Now().Add(refuseTimeout))
	_, _ = c.Write(failure("ERR max number of clients reached").append(nil, false))
	_ = c.Close()
}
