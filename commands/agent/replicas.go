package agent

import (
	"context"
	"fmt"
	"sync"
	"time"

	"resec/commands/cluster"
	"resec/handlers/redis"
)

// watchReplicas keeps a connection to each recorded member's Redis, and says when one has ended, for a guard that counts it
// refuses writes from then on, or follows us or no longer.
func (a *Agent) watchReplicas(ctx context.Context, lost chan<- struct{}) {
	var all sync.WaitGroup
	defer all.Wait()
	stops := map[string]context.CancelFunc{} // by address
	defer func() {
		for _, stop := range stops {
			stop()
		}
	}()
	for ctx.Err() == nil {
		k, changed := a.known.Watch()
		want := map[string]bool{}
		for _, o := range recordedPeers(k.view, a.Me.ID) {
			want[o.Address] = true
			if stops[o.Address] == nil {
				one, stop := context.WithCancel(ctx)
				stops[o.Address] = stop
				all.Go(func() { a.watchReplica(one, o.ID, o.Address, lost) })
			}
		}
		for addr, stop := range stops {
			if !want[addr] {
				stop()
				delete(stops, addr)
			}
		}
		select {
		case <-ctx.Done():
		case <-changed:
		}
	}
}

// watchReplica watches one of them.
func (a *Agent) watchReplica(ctx context.Context, id, addr string, lost chan<- struct{}) {
	opt := a.Creds
	opt.Addr, opt.Ping = addr, peerPingInterval
	s, err := redis.Open(ctx, opt)
	if err != nil {
		a.Log.Error("a replica cannot be watched", "addr", addr, "err", err)
		return
	}
	defer s.Close()
	was := true
	look, end := a.links.watch(id)
	defer end()
	s.Watch(ctx, a.Probe, look, func(h redis.Health) {
		own := a.known.Load().health.Status.Position.ReplID
		changed := a.links.set(id, h.Err == nil && h.Status.Streaming() && h.Status.Position.ReplID == own)
		if is := h.Err == nil; is != was || changed {
			was = is
			select {
			case lost <- struct{}{}:
			case <-ctx.Done():
			}
		}
	})
}

// replicaFingerprint are the addresses of those who replicate from a server, and who of them is past its sync, in one string to compare.
func replicaFingerprint(st redis.Status) (out string) {
	for _, r := range st.Replicas {
		out += fmt.Sprint(r.Addr, r.Online, " ")
	}
	return out
}

// watchUnknownReplicas looks at who replicates from us whenever that has changed, and again after an interval where it could not be told.
func (a *Agent) watchUnknownReplicas(ctx context.Context) {
	said := map[string]bool{} // addresses
	for known := ""; ctx.Err() == nil; {
		k, changed := a.known.Watch()
		var again <-chan time.Time
		if now := replicaFingerprint(k.health.Status); now != known && !k.paused {
			if a.parkUnknownReplicas(ctx, k, said) {
				known = now
				continue
			}
			changed, again = nil, time.After(a.Registrar.Interval)
		}
		select {
		case <-ctx.Done():
		case <-changed:
		case <-again:
		}
	}
}

// parkUnknownReplicas parks who replicates from us and is not recorded. Only who says of itself that it has our history is touched: what
// answers at the address that a replica announces may be somebody else's. Who cannot be parked is said once, for the guard is
// set higher by it. It tells whether all is well now.
func (a *Agent) parkUnknownReplicas(ctx context.Context, k snapshot, said map[string]bool) (done bool) {
	done = true
	own := k.health.Status.Position.ReplID
	for _, r := range k.health.Status.Replicas {
		if memberAtAddr(k.view, a.Me.ID, r.Addr) != "" {
			continue
		}
		st, err := a.probe(ctx, r.Addr, false)
		switch {
		case err == nil && isRecordedRun(k.view, st.RunID):
			continue
		case err == nil && (st.Master || !st.LinkUp || st.Position.ReplID != own):
			err = cluster.ErrOtherInstance
		case err == nil:
			err = a.parkAt(ctx, r.Addr)
			a.Log.Warn("a redis replicates from the master, and is no recorded member: it is parked", "addr", r.Addr, "run_id", st.RunID, "err", err)
		}
		if err != nil && r.Online && !said[r.Addr] { // before, its address may be another
			said[r.Addr] = true
			a.Log.Warn("who replicates from the master is no recorded member, and could not be parked: the guard does not count it", "addr", r.Addr, "err", err)
		}
		done = done && err == nil
	}
	return done
}

// parkAt parks another's Redis.
func (a *Agent) parkAt(ctx context.Context, addr string) error {
	opt := a.Creds
	opt.Addr = addr
	s, err := redis.Open(ctx, opt)
	if err != nil {
		return err
	}
	defer s.Close()
	return s.Park(ctx)
}

// isRecordedRun tells whether a run is that of a recorded member. One that was restarted is attached before its new run is recorded.
func isRecordedRun(v cluster.View, run string) bool {
	for id, r := range v.State.Members {
		if run != "" && (r.RunID == run || v.LiveAgents[id].RunID == run) {
			return true
		}
	}
	return false
}
