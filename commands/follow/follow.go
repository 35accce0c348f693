// Package follow is `resec follow`: a handler is invoked whenever the master service changes.
//
// A Follower owns its snapshot. Follower.Run starts a watch of the master service, an observer, and the loop that alone invokes
// the handler. It also starts the goroutine that believes an older state at last, and the one that warns of a lock that cannot be
// read. It joins all of them.
package follow

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
	"resec/handlers/redis"
)

// Follower invokes a handler on each change of the master service, one at a time.
type Follower struct {
	Client  *api.Client
	Naming  catalog.Naming
	LockKey string
	Member  string           // while this member holds the lock, events are ignored
	Handler handlers.Handler // gets the service entries as `consul watch -type=service` gives them
	Timeout time.Duration    // of one invocation of the handler; 0: none
	Log     *slog.Logger

	// Replicate is the built-in handler, which is used instead of Handler if it is set. It is invoked only for an event with a
	// master, and again when Redis was restarted.
	Replicate func(context.Context, handlers.Target) error
	Redis     *redis.Server // on which Replicate acts
	Probe     redis.Probe

	known *observable.Value[snapshot]
}

// snapshot is what a follower knows at one moment.
type snapshot struct {
	observe.Snapshot
	runID   string // of our Redis when it last was usable; empty if it is not observed
	index   uint64 // of the entries; 0: none were read yet
	event   []byte // the entries as JSON
	digest  string // of what matters in them to an external handler
	entries []handlers.Entry
}

// Run follows until the context ends. It returns an error only if Consul's watch rejects the service or the lock's key.
func (f *Follower) Run(ctx context.Context) error {
	f.known = observable.New[snapshot]()
	g, ctx := errgroup.WithContext(ctx)
	o := f.newObserver()
	g.Go(func() error { return f.watchService(ctx) })
	g.Go(func() error { return o.Run(ctx) })
	g.Go(func() error { f.newBeliever(o).Run(ctx); return nil })
	g.Go(func() error { f.Naming.WarnUnreadable(ctx, f.Client, f.Log); return nil })
	g.Go(func() error { f.loop(ctx); return nil })
	return g.Wait()
}

func (f *Follower) watchService(ctx context.Context) error {
	return watch.Run(ctx, f.Client, f.Naming.Watch(catalog.Master), func(index uint64, answer any) {
		if err := f.onEvent(index, answer); err != nil {
			f.Log.Error("cannot read the service entries; ignoring this event", "event", "service_event_ignored", "index", index, "err",
				err)
		}
	}, watch.Log(f.Log, "service "+f.Naming.Name(catalog.Master)))
}

func (f *Follower) newObserver() *observe.Observer {
	l := lock.Lock{Client: f.Client, Key: f.LockKey, LastKnown: &lock.LastKnownState{}}
	o := &observe.Observer{Lock: l, Probe: f.Probe, Log: f.Log,
		Update: func(change func(*observe.Snapshot)) { f.known.Update(func(k *snapshot) { k.observe(change) }) }}
	if f.Replicate != nil {
		o.Redis = f.Redis
	}
	return o
}

// observe applies a change of the observer. A Redis that is still loading has a new run ID, but cannot follow yet.
func (k *snapshot) observe(change func(*observe.Snapshot)) {
	change(&k.Snapshot)
	if k.Health.Err == nil {
		k.runID = k.Health.Status.RunID
	}
}

// newBeliever returns what makes the follower believe an older state at last.
func (f *Follower) newBeliever(o *observe.Observer) observe.Believer {
	return observe.Believer{Observer: o, Log: f.Log,
		Watch: func() (observe.Snapshot, <-chan struct{}) {
			k, changed := f.known.Watch()
			return k.Snapshot, changed
		},
		Doubts: func(v cluster.View) {
			f.Log.Warn("consul went back in time: it shows an older state than before; no handler is invoked until it is repaired",
				"event", "handlers_await_repair", "key", f.LockKey, "term_in_consul", v.ConsulTerm, "newest_term", v.State.Term())
		}}
}
