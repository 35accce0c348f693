package redis

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Sink is where a parked server is pointed at: nothing listens there. Such a server is read-only, keeps its data, its
// offset and the ability to resync partially, and counts for no master's min-replicas-to-write.
const Sink = sinkHost + ":" + sinkPort

const sinkHost, sinkPort = "127.0.0.1", "1"

// A fence is min-replicas-to-write so high that no number of replicas satisfies it. What it replaced is kept in it, as
// the distance from the maximum, so that whoever lifts it needs no memory of who set it: that one may be dead.
const fenceTop, fenceKeeps = math.MaxInt32, 1024

func fenced(minReplicas int) bool    { return minReplicas > fenceTop-fenceKeeps }
func fenceOver(minReplicas int) int  { return fenceTop - min(max(minReplicas, 0), fenceKeeps-1) }
func underFence(minReplicas int) int { return fenceTop - minReplicas }

// MinReplicasUnfenced is min-replicas-to-write as it is, or under the fence was.
func (s Status) MinReplicasUnfenced() int {
	if s.Fenced() {
		return underFence(s.MinReplicas)
	}
	return s.MinReplicas
}

// Fence makes the server refuse writes now; reads go on. A server that is fenced stays as it is.
func (s *Server) Fence(ctx context.Context) error {
	done, err := s.fence(ctx)
	if done {
		s.opt.counters().Fenced()
	}
	return err
}

func (s *Server) fence(ctx context.Context) (done bool, err error) {
	st, err := s.Status(ctx)
	if err != nil || st.Fenced() {
		return false, err
	}
	before, lag := st.MinReplicas, []string(nil)
	if st.MaxLag == 0 { // with lag 0 Redis ignores min-replicas-to-write: the operator had none
		before, lag = 0, []string{"CONFIG", "SET", "min-replicas-max-lag", "10"}
	}
	set := []string{"CONFIG", "SET", "min-replicas-to-write", strconv.Itoa(fenceOver(before))}
	if lag == nil {
		_, err = s.do(ctx, set)
	} else {
		_, err = s.do(ctx, set, lag)
	}
	return err == nil, err
}

// Unfence ends a fence: min-replicas-to-write is what it was before. It tells whether there was one.
func (s *Server) Unfence(ctx context.Context) (bool, error) {
	st, err := s.Status(ctx)
	if err != nil || !st.Fenced() {
		return false, err
	}
	_, err = s.do(ctx, []string{"CONFIG", "SET", "min-replicas-to-write", strconv.Itoa(st.MinReplicasUnfenced())})
	return err == nil, err
}

// SetGuard sets min-replicas-to-write, and min-replicas-max-lag in seconds; it ends a fence.
func (s *Server) SetGuard(ctx context.Context, replicas, lag int) error {
	_, err := s.do(ctx, []string{"CONFIG", "SET", "min-replicas-max-lag", strconv.Itoa(lag)},
		[]string{"CONFIG", "SET", "min-replicas-to-write", strconv.Itoa(replicas)})
	return err
}

// Promote makes the server a master that refuses writes: they are let in by Lift, once the world knows.
// It returns the server as it then is, verified; a master is fenced and otherwise left alone.
func (s *Server) Promote(ctx context.Context) (Status, error) {
	if _, err := s.fence(ctx); err != nil { // a step of its own rise, which ends nobody's writes
		return Status{}, err
	}
	st, err := s.Status(ctx)
	switch {
	case err != nil:
		return Status{}, err
	case st.Loading:
		return Status{}, fmt.Errorf("promote redis %s: %w", s.opt.Addr, ErrLoading)
	case st.Master:
		return st, nil
	}
	if _, err := s.do(ctx, []string{"REPLICAOF", "NO", "ONE"}); err != nil {
		return Status{}, err
	}
	if st, err = s.Status(ctx); err == nil && !st.Master {
		err = fmt.Errorf("promote redis %s: it still follows %s", s.opt.Addr, st.MasterAddr)
	}
	return st, err
}

// Follow makes the server a replica of addr (host:port). A server that follows it already is left alone.
func (s *Server) Follow(ctx context.Context, addr string) error {
	_, err := s.follow(ctx, addr)
	return err
}

// follow tells whether the server followed another before.
func (s *Server) follow(ctx context.Context, addr string) (changed bool, err error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return false, fmt.Errorf("follow %s: %w", addr, err)
	}
	need := s.opt.replicationConfig()
	if addr == Sink { // nobody is let in there
		need = [][]string{readOnly}
	}
	if _, err := s.do(ctx, need...); err != nil {
		return false, err
	}
	res, err := s.do(ctx, []string{"REPLICAOF", host, port})
	if err != nil {
		return false, err
	}
	said, _ := res[0].ToString()
	st, err := s.Status(ctx)
	if err == nil && st.MasterAddr != addr {
		err = fmt.Errorf("REPLICAOF %s on redis %s: it follows %q", addr, s.opt.Addr, st.MasterAddr)
	}
	return !strings.HasPrefix(said, "OK Already"), err // "OK Already connected to specified master"
}

// ConfigureReplication gives the server what its link to a master will need.
func (s *Server) ConfigureReplication(ctx context.Context) error {
	_, err := s.do(ctx, s.opt.replicationConfig()...)
	return err
}

// Park points the server at the sink.
func (s *Server) Park(ctx context.Context) error {
	changed, err := s.follow(ctx, Sink)
	if changed {
		s.opt.counters().Parked()
	}
	return err
}

// ReadOnly makes the server refuse writes while it is a replica.
func (s *Server) ReadOnly(ctx context.Context) error {
	_, err := s.do(ctx, readOnly)
	return err
}

var readOnly = []string{"CONFIG", "SET", "replica-read-only", "yes"}

// Pause holds writes back for at most d, without an error to their clients.
func (s *Server) Pause(ctx context.Context, d time.Duration) error {
	_, err := s.do(ctx, []string{"CLIENT", "PAUSE", strconv.FormatInt(d.Milliseconds(), 10), "WRITE"})
	return err
}

// Unpause ends a pause; a paused replica would not apply its stream.
func (s *Server) Unpause(ctx context.Context) error {
	_, err := s.do(ctx, []string{"CLIENT", "UNPAUSE"})
	return err
}

// Disconnect ends the connections of clients, so that those of a former master look for the new one; connections that
// are named as ours (resec:…) and replicas stay. It returns how many it ended.
func (s *Server) Disconnect(ctx context.Context) (int, error) {
	var errs []error
	n := 0
	for _, kind := range []string{"normal", "pubsub"} {
		res, err := s.do(ctx, []string{"CLIENT", "LIST", "TYPE", kind})
		if err != nil {
			errs = append(errs, err)
			continue
		}
		list, _ := res[0].ToString()
		var kill [][]string
		for _, id := range foreignClients(list) {
			kill = append(kill, []string{"CLIENT", "KILL", "ID", id})
		}
		if len(kill) == 0 {
			continue
		}
		if _, err := s.do(ctx, kill...); !Replied(err) { // "No such client" is what we wanted
			errs = append(errs, err)
		}
		n += len(kill)
	}
	return n, errors.Join(errs...)
}

// OlderNamesakes is how many connections have the name that ours has, and are older: other processes', if it is asked over this
// process's first.
func (s *Server) OlderNamesakes(ctx context.Context) (int, error) {
	res, err := s.do(ctx, []string{"CLIENT", "ID"}, []string{"CLIENT", "LIST", "TYPE", "normal"})
	if err != nil {
		return 0, err
	}
	own, _ := res[0].AsInt64()
	list, _ := res[1].ToString()
	n := 0
	for line := range strings.Lines(list) {
		f := strings.Fields(line)
		if len(f) == 0 || !slices.Contains(f, "name="+s.opt.Name) {
			continue
		}
		if id, err := strconv.ParseInt(strings.TrimPrefix(f[0], "id="), 10, 64); err == nil && id < own {
			n++
		}
	}
	return n, nil
}

// foreignClients are the ids in CLIENT LIST's text of connections that are not ours.
func foreignClients(list string) (ids []string) {
	for line := range strings.Lines(list) {
		var id, name string
		for _, f := range strings.Fields(line) {
			if v, ok := strings.CutPrefix(f, "id="); ok {
				id = v
			} else if v, ok := strings.CutPrefix(f, "name="); ok {
				name = v
			}
		}
		if id != "" && !strings.HasPrefix(name, "resec:") {
			ids = append(ids, id)
		}
	}
	return ids
}
