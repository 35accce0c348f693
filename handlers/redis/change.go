package redis

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
)

// Sink is the address that a parked server replicates from: nothing listens there. A parked server is read-only and keeps its
// data, its offset and the ability to resync partially. It does not count for any master's min-replicas-to-write.
const Sink = sinkHost + ":" + sinkPort

const sinkHost, sinkPort = "127.0.0.1", "1"

// setReadOnly makes a server refuse writes while it is a replica.
var setReadOnly = []string{"CONFIG", "SET", "replica-read-only", "yes"}

// Promote makes the server a master that is fenced. The caller unfences it once the master is published. A master is fenced and
// otherwise left as it is. Promote returns the status afterwards. It returns ErrLoading for a server that is loading, and an
// error if the server did not confirm a step. A server that refuses a step after the fence is not left fenced.
func (s *Server) Promote(ctx context.Context) (Status, error) {
	was, fenced, err := s.fence(ctx) // not counted: a replica accepts no writes that this fence would end
	if err != nil {
		return Status{}, err
	}
	st, err := s.Status(ctx)
	if err != nil {
		return Status{}, s.notPromoted(ctx, fenced, was, err)
	}
	if st.Loading {
		return Status{}, s.notPromoted(ctx, fenced, was, fmt.Errorf("promote redis %s: %w", s.opt.Addr, ErrLoading))
	}
	if st.Master {
		return st, nil
	}
	if _, err := s.do(ctx, []string{"REPLICAOF", "NO", "ONE"}); err != nil {
		return Status{}, s.notPromoted(ctx, fenced, was, err)
	}
	st, err = s.Status(ctx)
	if err == nil && !st.Master {
		err = fmt.Errorf("promote redis %s: it still follows %s", s.opt.Addr, st.MasterAddr)
	}
	return st, err
}

// notPromoted unfences a server that was not promoted, if Promote has fenced it, and returns the error. was is its status before
// the fence: it may deny its status by now. Without a reply to the promotion the server may be a master now, and stays fenced.
func (s *Server) notPromoted(ctx context.Context, fenced bool, was Status, err error) error {
	if !fenced || !Replied(err) {
		return err
	}
	_, unfence := s.do(ctx, setMinReplicas(was.MinReplicas))
	return errors.Join(err, unfence)
}

// Follow makes the server a replica of addr (host:port). It does nothing to a replica of addr. It returns an error if addr is no
// host:port, or if the server is not a replica of it afterwards.
func (s *Server) Follow(ctx context.Context, addr string) error {
	_, err := s.follow(ctx, addr)
	return err
}

// follow reports whether the server replicated from elsewhere before.
func (s *Server) follow(ctx context.Context, addr string) (changed bool, err error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return false, fmt.Errorf("follow %s: %w", addr, err)
	}
	config := s.opt.replicationConfig()
	if addr == Sink { // no credentials are needed there
		config = [][]string{setReadOnly}
	}
	if _, err := s.do(ctx, config...); err != nil && !(addr == Sink && CommandRefused(err) && s.wouldBeReadOnly(ctx)) {
		return false, err
	}
	results, err := s.do(ctx, []string{"REPLICAOF", host, port})
	if err != nil {
		return false, err
	}
	reply, _ := results[0].ToString()
	changed = !strings.HasPrefix(reply, "OK Already") // "OK Already connected to specified master"
	st, err := s.Status(ctx)
	if err == nil && st.MasterAddr != addr {
		err = fmt.Errorf("REPLICAOF %s on redis %s: it follows %q", addr, s.opt.Addr, st.MasterAddr)
	}
	return changed, err
}

// wouldBeReadOnly reports whether the server refuses writes as a replica without a change of its settings.
func (s *Server) wouldBeReadOnly(ctx context.Context) bool {
	results, err := s.do(ctx, []string{"CONFIG", "GET", "replica-read-only"})
	if err != nil {
		return false
	}
	settings, err := results[0].AsStrMap()
	return err == nil && settings["replica-read-only"] == "yes"
}

// ConfigureReplication sets what the server needs before it can replicate: replica-read-only, TLS and its credentials. It
// returns an error if the server did not confirm.
func (s *Server) ConfigureReplication(ctx context.Context) error {
	_, err := s.do(ctx, s.opt.replicationConfig()...)
	return err
}

// Park makes the server a replica of the sink. It returns an error if the server is not parked afterwards.
func (s *Server) Park(ctx context.Context) error {
	changed, err := s.follow(ctx, Sink)
	if changed {
		s.opt.counters().Parked()
	}
	return err
}

// ReadOnly makes the server refuse writes while it is a replica. It returns an error if the server did not confirm.
func (s *Server) ReadOnly(ctx context.Context) error {
	_, err := s.do(ctx, setReadOnly)
	return err
}
