package agent

import (
	"context"
	"net"
	"sync"
	"time"

	"resec/commands/lock"
	"resec/handlers/redis"
)

// watchReplicas keeps a connection to each recorded member's Redis, and says when one has ended: a guard that counts it
// refuses writes from then on.
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
		k, changed := a.board.Wait()
		want := map[string]bool{}
		for _, o := range others(k.view, a.Me.ID) {
			want[o.Address] = true
			if stops[o.Address] == nil {
				one, stop := context.WithCancel(ctx)
				stops[o.Address] = stop
				all.Go(func() { a.beside(one, o.Address, lost) })
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

// beside watches one replica.
func (a *Agent) beside(ctx context.Context, addr string, lost chan<- struct{}) {
	opt := a.Creds
	opt.Addr = addr
	s, err := redis.Open(ctx, opt)
	if err != nil {
		a.Log.Error("a replica cannot be watched", "addr", addr, "err", err)
		return
	}
	defer s.Close()
	was := true
	s.Watch(ctx, a.Probe, nil, func(h redis.Health) {
		if is := h.Err == nil; is != was {
			was = is
			select {
			case lost <- struct{}{}:
			case <-ctx.Done():
			}
		}
	})
}

// replicas are the addresses of those who replicate from a server, in one string to compare.
func replicas(st redis.Status) (out string) {
	for _, r := range st.Replicas {
		out += r.Addr + " "
	}
	return out
}

// keepOut looks at who replicates from us whenever that has changed, and again after an interval where it could not be told.
func (a *Agent) keepOut(ctx context.Context) {
	for known := ""; ctx.Err() == nil; {
		k, changed := a.board.Wait()
		var again <-chan time.Time
		if now := replicas(k.health.Status); now != known {
			if a.evict(ctx, k) {
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

// evict parks who replicates from us and is not recorded: it would count for the guard, and for no challenger. It tells
// whether all is well now.
func (a *Agent) evict(ctx context.Context, k known) (done bool) {
	done = true
	for _, r := range k.health.Status.Replicas {
		if _, port, _ := net.SplitHostPort(r.Addr); port == "0" || recorded(k.view, r.Addr, "") { // 0: a tool, that acknowledges nothing
			continue
		}
		st, err := a.peek(ctx, r.Addr, false)
		if err == nil && recorded(k.view, "", st.RunID) {
			continue
		}
		if err == nil {
			err = a.banish(ctx, r.Addr)
			a.Log.Warn("a redis replicates from the master, and is no recorded member: it is parked", "addr", r.Addr, "run_id", st.RunID, "err", err)
		}
		done = done && err == nil
	}
	return done
}

// banish parks another's Redis.
func (a *Agent) banish(ctx context.Context, addr string) error {
	opt := a.Creds
	opt.Addr = addr
	s, err := redis.Open(ctx, opt)
	if err != nil {
		return err
	}
	defer s.Close()
	return s.Park(ctx)
}

// recorded tells whether an address or a run is that of a recorded member. One that was restarted is attached before its
// new run is recorded.
func recorded(v lock.View, addr, run string) bool {
	for id, r := range v.State.Record {
		p := v.Members[id]
		if addr != "" && (r.Address == addr || p.Address == addr) || run != "" && (r.RunID == run || p.RunID == run) {
			return true
		}
	}
	return false
}
