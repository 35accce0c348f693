package proxy

import (
	"context"
	"log/slog"
	"maps"
	"sync"
	"time"

	"resec/commands/observable"
	"resec/commands/topology"
	"resec/handlers/redis"
)

// openRetry is the pause after a server could not be opened.
const openRetry = time.Second

// Router knows the targets: what the topology says, and what each Redis says itself. One goroutine calls Run, any the others.
type Router struct {
	Creds    redis.Options // of every Redis; the address is filled in
	Probe    redis.Probe
	Replicas bool // replicas are watched, too
	Log      *slog.Logger

	known *observable.Value[view]
}

// NewRouter completes a router.
func NewRouter(r Router) *Router {
	r.known = observable.New[view]()
	return &r
}

// Publish takes a topology.
func (r *Router) Publish(t topology.Topology) {
	r.known.Update(func(v *view) { v.topology = t })
}

// watching is a goroutine that watches one server.
type watching struct {
	stop context.CancelFunc
	poke chan struct{} // the server is asked at once
}

// Run watches the servers of the topology until the context ends. changed is called after each change of what is known.
func (r *Router) Run(ctx context.Context, changed func()) {
	watched := map[string]watching{} // by address
	var all sync.WaitGroup
	defer all.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var last topology.Instance // the master that was known before
	for ctx.Err() == nil {
		v, next := r.known.Watch()
		wanted := r.wanted(v.topology)
		for addr, w := range watched {
			if !wanted[addr] {
				w.stop()
				delete(watched, addr)
				r.known.Update(func(v *view) { v.health = without(v.health, addr) })
			}
		}
		for addr := range wanted {
			if _, found := watched[addr]; !found {
				watched[addr] = r.startWatch(ctx, addr, &all)
			}
		}
		if m := v.topology.Master; m != last {
			last = m
			poke(watched[m.Addr].poke)
		}
		changed()
		select {
		case <-ctx.Done():
		case <-next:
		}
	}
}

func (r *Router) startWatch(ctx context.Context, addr string, all *sync.WaitGroup) watching {
	ctx, stop := context.WithCancel(ctx)
	w := watching{stop: stop, poke: make(chan struct{}, 1)}
	all.Go(func() { r.watch(ctx, addr, w.poke) })
	return w
}

// poke makes a watch ask at once. Of a nil channel, which is of no server, it makes nothing.
func poke(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// wanted are the addresses that are watched.
func (r *Router) wanted(t topology.Topology) map[string]bool {
	out := map[string]bool{}
	if t.Master.Addr != "" {
		out[t.Master.Addr] = true
	}
	for _, replica := range t.Replicas {
		if r.Replicas && !replica.Gone {
			out[replica.Addr] = true
		}
	}
	return out
}

// watch keeps the health of one server, until the context ends.
func (r *Router) watch(ctx context.Context, addr string, poke <-chan struct{}) {
	for ctx.Err() == nil {
		s, err := redis.Open(ctx, r.Creds.AtPeer(addr))
		if err != nil {
			r.Log.Error("cannot watch a redis, retrying", "event", "proxy_watch_failed", "addr", addr, "err", err)
			select {
			case <-ctx.Done():
			case <-time.After(openRetry):
			}
			continue
		}
		s.Watch(ctx, r.Probe, poke, func(h redis.Health) {
			r.known.Update(func(v *view) {
				if h.LocalErr == nil && ctx.Err() == nil { // of what this host cannot ask, the last answer counts
					v.health = with(v.health, addr, h)
				}
			})
		})
		s.Close()
	}
}

// with returns the map with another value for a key.
func with(all map[string]redis.Health, addr string, h redis.Health) map[string]redis.Health {
	out := maps.Clone(all)
	if out == nil {
		out = map[string]redis.Health{}
	}
	out[addr] = h
	return out
}

// without returns the map without a key.
func without(all map[string]redis.Health, addr string) map[string]redis.Health {
	out := maps.Clone(all)
	delete(out, addr)
	return out
}

// Writable returns the master that clients are connected to now, or why there is none.
func (r *Router) Writable() (m topology.Instance, why string) {
	v := r.known.Load()
	return v.topology.Master, v.noMasterReason()
}

// Stays reports whether the clients of an instance may stay.
func (r *Router) Stays(i topology.Instance) bool { return r.known.Load().stays(i) }

// Master waits for the master. It returns the context's cause if there is none in time.
func (r *Router) Master(ctx context.Context, _ uint64) (topology.Instance, error) {
	return r.wait(ctx, view.master)
}

// Replica returns a function that waits for the n-th replica by turns, or for the master if there is none and orMaster is true.
// Its errors are those of Master.
func (r *Router) Replica(maxLag int64, orMaster bool) func(context.Context, uint64) (topology.Instance, error) {
	return func(ctx context.Context, n uint64) (topology.Instance, error) {
		return r.wait(ctx, func(v view) (topology.Instance, bool) {
			if all := v.replicas(maxLag); len(all) > 0 {
				return all[n%uint64(len(all))], true
			}
			if orMaster {
				return v.master()
			}
			return topology.Instance{}, false
		})
	}
}

func (r *Router) wait(ctx context.Context, choose func(view) (topology.Instance, bool)) (topology.Instance, error) {
	for {
		v, changed := r.known.Watch()
		if i, found := choose(v); found {
			return i, nil
		}
		select {
		case <-ctx.Done():
			return topology.Instance{}, context.Cause(ctx)
		case <-changed:
		}
	}
}
