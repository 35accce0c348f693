package agent

import (
	"context"
	"sync"
	"time"

	"resec/commands/cluster"
	"resec/commands/known"
	"resec/commands/lock"
	"resec/commands/observable"
	"resec/commands/survey"
	"resec/handlers/redis"
)

// replicaLinks are the recorded members whose Redis servers said, when they were probed last, that they stream our history.
type replicaLinks struct {
	mu        sync.Mutex
	streaming map[string]bool
	probes    map[string]chan struct{} // by id: asks for a probe of one now
}

// watch returns a channel that asks for a probe of a member's Redis, and a function that ends the watch.
func (l *replicaLinks) watch(id string) (probeNow chan struct{}, end func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.probes == nil {
		l.probes, l.streaming = map[string]chan struct{}{}, map[string]bool{}
	}
	probeNow = make(chan struct{}, 1)
	l.probes[id] = probeNow
	return probeNow, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.probes[id] == probeNow { // a member that moved is watched at two addresses for a moment
			delete(l.probes, id)
			delete(l.streaming, id)
		}
	}
}

// set notes whether a member streams from us, and reports whether that is new.
func (l *replicaLinks) set(id string, streams bool) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.streaming == nil || l.streaming[id] == streams {
		return false
	}
	l.streaming[id] = streams
	return true
}

// streams reports whether a member said that it streams our history.
func (l *replicaLinks) streams(id string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.streaming[id]
}

// probeAll asks for a probe of all.
func (l *replicaLinks) probeAll() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, probeNow := range l.probes {
		observable.Signal(probeNow)
	}
}

// watchReplicas keeps a connection to each recorded member's Redis, and wakes the guard's keeper when one has ended, because a
// guard that counts it refuses writes from then on.
func (t *leaderTerm) watchReplicas(ctx context.Context) {
	var watches sync.WaitGroup
	defer watches.Wait()
	type watched struct{ id, addr string } // two members may exchange their addresses
	stops := map[watched]context.CancelFunc{}
	defer func() {
		for _, stop := range stops {
			stop()
		}
	}()
	for ctx.Err() == nil {
		k, changed := t.a.known.Watch()
		want := map[watched]bool{}
		for _, p := range recordedPeers(k.View, t.a.Me.ID) {
			w := watched{p.ID, p.Address}
			want[w] = true
			if stops[w] == nil {
				one, stop := context.WithCancel(ctx)
				stops[w] = stop
				watches.Go(func() { t.watchReplica(one, w.id, w.addr) })
			}
		}
		for w, stop := range stops {
			if !want[w] {
				stop()
				delete(stops, w)
			}
		}
		select {
		case <-ctx.Done():
		case <-changed:
		}
	}
}

// watchReplica watches one of them.
func (t *leaderTerm) watchReplica(ctx context.Context, id, addr string) {
	s, err := redis.Open(ctx, t.a.Creds.AtPeer(addr))
	if err != nil {
		t.a.Log.Error("cannot watch a replica; the guard follows its lag alone", "event", "replica_watch_failed",
			"member", id, "addr", addr, "err", err)
		return
	}
	defer s.Close()
	probeNow, end := t.a.links.watch(id)
	defer end()
	answered := true
	s.Watch(ctx, t.a.Probe, probeNow, func(h redis.Health) {
		own := t.a.known.Load().Health.Status.Position.ReplID
		changed := t.a.links.set(id, h.Err == nil && h.Status.Streaming() && h.Status.Position.ReplID == own)
		if answers := h.Err == nil; answers != answered || changed {
			answered = answers
			observable.Signal(t.replicaLost)
		}
	})
}

// watchUnknownReplicas looks at what replicates from us whenever that has changed, and again after an interval if a replica
// could not be identified.
func (t *leaderTerm) watchUnknownReplicas(ctx context.Context) {
	logged := map[string]bool{} // by address
	for seen := ""; ctx.Err() == nil; {
		k, changed := t.a.known.Watch()
		var again <-chan time.Time
		if now := cluster.ReplicaFingerprint(k.Health.Status); now != seen && !k.Paused {
			if t.parkUnknownReplicas(ctx, k, logged) {
				seen = now
				continue
			}
			changed, again = nil, time.After(t.a.Registrar.Interval)
		}
		select {
		case <-ctx.Done():
		case <-changed:
		case <-again:
		}
	}
}

// parkUnknownReplicas parks the replicas of our Redis that are no recorded members. It touches only a server that itself says
// that it has our history: what answers at the address that a replica announces may be another program's. It reports whether
// every replica is a member, parked, or no server at all.
func (t *leaderTerm) parkUnknownReplicas(ctx context.Context, k known.Snapshot, logged map[string]bool) (done bool) {
	done = true
	for _, r := range k.Health.Status.Replicas {
		if cluster.MemberAtAddr(k.View, t.a.Me.ID, r.Addr) != "" {
			continue
		}
		if r.NoServer() {
			if r.Online && !logged[r.Addr] {
				logged[r.Addr] = true
				t.a.Log.Warn("a client that is no server replicates from the master; it can be no member, and is left alone",
					"event", "client_replicates", "addr", r.Addr, "redis", t.a.local.Addr())
			}
			continue
		}
		err := t.parkUnlessMember(ctx, k, r.Addr)
		if err != nil && r.Online && !logged[r.Addr] { // before it is online its address may be another
			logged[r.Addr] = true
			t.a.Log.Warn("unknown replica cannot be parked; min-replicas-to-write is raised by one to exclude it",
				"event", "unknown_replica", "addr", r.Addr, "err", err)
		}
		done = done && err == nil
	}
	return done
}

// parkUnlessMember parks the replica at an address, unless it is a recorded member under another address. It returns
// cluster.ErrOtherInstance if the server there does not stream our history, and lock.ErrLease if the lease is over: a next master
// may have made that server its replica by then. The look and the change are made over one connection, and within one timeout.
func (t *leaderTerm) parkUnlessMember(ctx context.Context, k known.Snapshot, addr string) error {
	ctx, cancel := context.WithTimeout(ctx, 2*survey.ProbeTimeout)
	defer cancel()
	s, err := redis.Open(ctx, t.a.Creds.At(addr).WithTimeout(min(survey.ProbeTimeout, t.a.Creds.Timeout)))
	if err != nil {
		return err
	}
	defer s.Close()
	st, err := s.Status(ctx)
	if err != nil {
		return err
	}
	if cluster.IsRecordedInstance(t.a.known.Load().View, st.RunID) { // it may have been recorded during the probe
		return nil
	}
	if st.Master || !st.LinkUp || st.Position.ReplID != k.Health.Status.Position.ReplID {
		return cluster.ErrOtherInstance
	}
	if t.session.Lease.Left(time.Now()) == 0 { // a process that was frozen may run on before its timers fire
		return lock.ErrLease
	}
	if err := s.Park(ctx); err != nil {
		return err
	}
	t.a.Log.Warn("a redis that is no recorded member replicated from the master; it is parked", "event", "unknown_replica_parked",
		"addr", addr, "run_id", st.RunID)
	return nil
}
