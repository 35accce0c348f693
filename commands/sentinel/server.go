package sentinel

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"resec/commands/topology"
)

// Topology is what clients are answered by.
type Topology = topology.Topology

// Options say how a server answers.
type Options struct {
	DownAfter time.Duration // down-after-milliseconds in the answers
	// Login returns the user and the password that clients must send. An empty password: none is needed.
	Login func() (user, password string)
	TLS   *tls.Config // nil: no TLS
	// Failover moves the master to the replica with the most recent data, without losing a write, for one client at a time. It
	// returns ErrInProgress if a request is under way, and a RefusedError if the cluster refuses it. nil: nobody may ask for it.
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
	id       atomic.Pointer[string] // see SetID
	ids      atomic.Int64           // of the last client
	moving   sync.Mutex             // held while Failover runs

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

// SetID sets the endpoint's id; see topology.ID. Before, it has none.
func (s *Server) SetID(id string) { s.id.Store(&id) }

// ID returns the endpoint's id; empty: it is not known yet.
func (s *Server) ID() string {
	if id := s.id.Load(); id != nil {
		return *id
	}
	return ""
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

// Close disconnects all clients, and returns when all goroutines have ended. It may be called on a nil *Server, and again.
func (s *Server) Close() {
	if s == nil {
		return
	}
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
			defer s.recovered(c)
			c.run()
		})
	}
}

// recovered logs a panic, as net/http does: one client must not end the agent of a master.
func (s *Server) recovered(c *conn) {
	if r := recover(); r != nil {
		s.Log.Error("a request to the sentinel endpoint made it panic; the client is disconnected", "event", "sentinel_panic",
			"client", c.raw.RemoteAddr().String(), "panic", r, "stack", string(debug.Stack()))
		_ = c.raw.Close()
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
