package topology

import (
	"context"
	"log/slog"
	"time"

	"github.com/hashicorp/consul/api"
	"golang.org/x/sync/errgroup"

	"resec/commands/catalog"
	"resec/commands/cluster"
	"resec/commands/lock"
	"resec/commands/observable"
	"resec/commands/observe"
	"resec/commands/watch"
	"resec/handlers"
)

// Feed publishes a topology whenever what Consul shows of a cluster has changed.
type Feed struct {
	Client  *api.Client
	Naming  catalog.Naming
	LockKey string
	Publish func(Topology) // called by one goroutine
	Name    string         // of the cluster, as clients ask for it
	Log     *slog.Logger

	known *observable.Value[snapshot]
}

// snapshot is what a feed knows at one moment.
type snapshot struct {
	observe.Snapshot
	services map[string][]handlers.Entry // by the service's name; never changed in place
}

// Run publishes until the context ends. It returns an error only if Consul's watch rejects a service or the lock's key.
func (f *Feed) Run(ctx context.Context) error {
	f.known = observable.New[snapshot]()
	o := &observe.Observer{Log: f.Log, Lock: lock.Lock{Client: f.Client, Key: f.LockKey, LastKnown: &lock.LastKnownState{}},
		Update: func(change func(*observe.Snapshot)) { f.known.Update(func(k *snapshot) { change(&k.Snapshot) }) }}
	g, ctx := errgroup.WithContext(ctx)
	for _, service := range f.services() {
		g.Go(func() error { return f.watchService(ctx, service) })
	}
	g.Go(func() error { return o.Run(ctx) })
	g.Go(func() error { f.newBeliever(o).Run(ctx); return nil })
	g.Go(func() error { f.Naming.WarnUnreadable(ctx, f.Client, f.Log); return nil })
	g.Go(func() error { f.publish(ctx); return nil })
	return g.Wait()
}

// services are the names of the services that are watched, each once.
func (f *Feed) services() []string {
	all := []string{f.Naming.Name(catalog.Master), f.Naming.Name(catalog.Sentinel)}
	if replicas := f.Naming.Name(catalog.Replica); replicas != all[0] {
		all = append(all, replicas)
	}
	return all
}

func (f *Feed) watchService(ctx context.Context, service string) error {
	params := map[string]any{"type": "service", "service": service}
	return watch.Run(ctx, f.Client, params, func(index uint64, answer any) {
		entries, err := catalog.Entries(answer)
		if err != nil {
			f.Log.Error("cannot read the service entries; ignoring this event", "event", "service_event_ignored", "index", index,
				"err", err)
			return
		}
		f.known.Update(func(k *snapshot) { k.services = with(k.services, service, entries) })
	}, watch.Log(f.Log, "service "+service))
}

// with returns the map with another value for a key.
func with(all map[string][]handlers.Entry, key string, value []handlers.Entry) map[string][]handlers.Entry {
	out := map[string][]handlers.Entry{key: value}
	for k, v := range all {
		if k != key {
			out[k] = v
		}
	}
	return out
}

// publish publishes what has changed, once each watch has answered.
func (f *Feed) publish(ctx context.Context) {
	t := Topology{Name: f.Name}
	for ctx.Err() == nil {
		k, changed := f.known.Watch()
		if k.complete(f.services()) {
			t = t.next(k.seen(f.Naming), f.Naming, time.Now())
			f.Publish(t)
		}
		select {
		case <-ctx.Done():
		case <-changed:
		}
	}
}

// complete reports whether each service was read, and the lock or why it cannot be. Before that a member would seem to be new
// that is only seen late.
func (k snapshot) complete(services []string) bool {
	for _, s := range services {
		if _, known := k.services[s]; !known {
			return false
		}
	}
	return k.View.Index != 0 || k.ConsulDown
}

// seen is the snapshot as a topology is made of it.
func (k snapshot) seen(n catalog.Naming) seen {
	s := seen{view: k.View, endpoints: k.services[n.Name(catalog.Sentinel)], reachable: !k.ConsulDown}
	for name, entries := range k.services {
		if name != n.Name(catalog.Sentinel) {
			s.instances = append(s.instances, entries...)
		}
	}
	return s
}

// newBeliever returns what makes the feed believe an older state at last.
func (f *Feed) newBeliever(o *observe.Observer) observe.Believer {
	return observe.Believer{Observer: o, Log: f.Log,
		Watch: func() (observe.Snapshot, <-chan struct{}) {
			k, changed := f.known.Watch()
			return k.Snapshot, changed
		},
		Doubts: func(v cluster.View) {
			f.Log.Warn("consul went back in time: it shows an older state than before; clients get no other master until it is repaired",
				"event", "clients_await_repair", "key", f.LockKey, "term_in_consul", v.ConsulTerm, "newest_term", v.State.Term())
		}}
}
