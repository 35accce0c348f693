// Package follow is `resec follow`: a handler is invoked whenever the master service changes.
package follow

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/hashicorp/consul/api"
	"golang.org/x/sync/errgroup"

	"resec/commands/catalog"
	"resec/commands/cluster"
	"resec/commands/lock"
	"resec/commands/observable"
	"resec/commands/watch"
	"resec/handlers"
	"resec/handlers/redis"
)

// Follower invokes a handler on each change of the master service, one at a time.
type Follower struct {
	Client  *api.Client
	Naming  catalog.Naming
	LockKey string
	Member  string           // whose own lock makes events ours to ignore
	Handler handlers.Handler // gets the entries as `consul watch -type=service` gives them
	Log     *slog.Logger

	// Replicate is set instead where the handler is the built-in one, with the Redis that it acts on: it wants no event
	// without a master, and has to be invoked again for a Redis that was restarted.
	Replicate func(context.Context, handlers.Target) error
	Redis     *redis.Server
	Probe     redis.Probe

	known *observable.Value[snapshot]
}

// snapshot is what a follower knows.
type snapshot struct {
	index   uint64 // of the entries, 0: none yet
	event   []byte // as JSON
	digest  string // of what matters in it to a handler outside of this process
	entries []handlers.Entry
	run     string // the run id of our Redis, where that is watched
	view    cluster.View
}

// handledKey is what one successful call of the handler settles: this event, for this run of Redis.
type handledKey struct{ digest, run string }

func (f *Follower) keyOf(k snapshot) handledKey {
	if f.Replicate == nil {
		return handledKey{digest: k.digest + published(k)}
	}
	_, digest, _ := selectMaster(k.entries, k.view.State.Master, f.Naming.Tag(catalog.Master))
	return handledKey{digest, k.run}
}

// published is the address of the master that is published beside the lock: an external handler is told it, for anybody can register
// a service. Empty: there is none, or nothing of it is known.
func published(k snapshot) string {
	if m := k.view.State.Master; m != nil {
		return m.Address
	}
	return ""
}

const retryMin, retryMax = 200 * time.Millisecond, 5 * time.Second

// Run follows until the context ends.
func (f *Follower) Run(ctx context.Context) error {
	f.known = observable.New[snapshot]()
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		return watch.Run(ctx, f.Client, f.Naming.Watch(), func(index uint64, answer any) {
			if err := f.onEvent(index, answer); err != nil {
				f.Log.Error("an event is dropped", "err", err)
			}
		}, watch.Log(f.Log, "service "+f.Naming.Name(catalog.Master)))
	})
	g.Go(func() error {
		params := map[string]any{"type": "keyprefix", "prefix": f.LockKey}
		return watch.Run(ctx, f.Client, params, func(index uint64, answer any) {
			pairs, _ := answer.(api.KVPairs)
			f.known.Update(func(k *snapshot) { k.view = lock.Lock{Key: f.LockKey}.Parse(index, pairs) })
		}, watch.Log(f.Log, "lock"))
	})
	if f.Replicate != nil {
		g.Go(func() error {
			f.Redis.Watch(ctx, f.Probe, nil, func(h redis.Health) {
				if h.Err == nil && h.Status.RunID != f.known.Load().run {
					f.known.Update(func(k *snapshot) { k.run = h.Status.RunID })
				}
			})
			return nil
		})
	}
	g.Go(func() error { // a watch shows what an ACL hides as nothing at all
		if _, err := f.Naming.Instances(ctx, f.Client); err != nil && ctx.Err() == nil {
			f.Log.Warn("the master service cannot be read", "err", err)
		}
		return nil
	})
	g.Go(func() error { f.loop(ctx); return nil })
	return g.Wait()
}

// onEvent takes an answer in.
func (f *Follower) onEvent(index uint64, answer any) error {
	if answer == nil {
		answer = []*api.ServiceEntry{}
	}
	event, err := json.Marshal(answer)
	if err != nil {
		return fmt.Errorf("encode the service entries: %w", err)
	}
	entries, err := handlers.ParseEntries(event)
	if err != nil {
		return err
	}
	digest := fullDigest(answer)
	f.known.Update(func(k *snapshot) { k.index, k.event, k.digest, k.entries = index, append(event, '\n'), digest, entries })
	return nil
}

// selectMaster is whom the built-in handler makes Redis follow, and a digest of what that depends on: address, port, id, term
// and run; empty where there is nobody. Where a master is published beside the lock, only its entry counts: anybody can
// register a service.
func selectMaster(entries []handlers.Entry, published *cluster.Master, tag string) (to handlers.Target, digest string, err error) {
	m, ok := handlers.MasterOf(entries, tag)
	if !ok {
		return to, "", nil
	}
	if published != nil {
		ours := slices.DeleteFunc(slices.Clone(entries), func(e handlers.Entry) bool { return e.ID() != published.ID })
		if m, ok = handlers.MasterOf(ours, tag); !ok {
			err = fmt.Errorf("%w: the service names another master than the published one, %s", handlers.ErrRefused, published.ID)
			return to, err.Error(), err
		}
		to.RunID = published.RunID
	}
	to.Addr = m.Addr()
	return to, fmt.Sprintf("%s %q %d %s", m.Addr(), m.ID(), m.Term(), to.RunID), nil
}

// fullDigest is what a handler may act on: nodes, services, and the status of checks; not the output of checks and the
// indexes, which change without a meaning.
func fullDigest(answer any) string {
	entries, _ := answer.([]*api.ServiceEntry)
	type instance struct {
		Node    string
		Addr    string
		Service *api.AgentService
		Checks  []string
	}
	out := []instance{}
	for _, e := range entries {
		if e.Service == nil || e.Node == nil {
			continue
		}
		s := *e.Service
		s.CreateIndex, s.ModifyIndex = 0, 0
		in := instance{Node: e.Node.Node, Addr: e.Node.Address, Service: &s}
		for _, c := range e.Checks {
			in.Checks = append(in.Checks, c.CheckID+"="+c.Status)
		}
		slices.Sort(in.Checks)
		out = append(out, in)
	}
	data, _ := json.Marshal(out)
	return "=" + string(data) // never empty: no entries are an event, too
}

// loop invokes the handler for each digest that it has not handled yet. One that fails is invoked again for as long
// as the event stands.
func (f *Follower) loop(ctx context.Context) {
	handled, failed, wait, said := handledKey{}, handledKey{}, time.Duration(0), ""
	for {
		var retry <-chan time.Time
		k, changed := f.known.Watch()
		job := f.keyOf(k)
		if shouldInvoke(k, job, handled, f.Member) {
			if err := f.handle(ctx, k); err == nil {
				handled, wait, said = job, 0, ""
				continue // what came meanwhile waits on the board
			} else if ctx.Err() == nil {
				if job != failed {
					wait = 0
				}
				failed, wait = job, min(max(2*wait, retryMin), retryMax)
				if err.Error() != said { // once, not each few seconds
					f.Log.Warn("the handler failed; trying on", "err", err)
				}
				said = err.Error()
				retry = time.After(wait)
			}
		} else if job.digest == "" {
			handled = job // nobody: the same master is news when it comes back
		}
		if !f.waitForChange(ctx, k, changed, retry) {
			return
		}
	}
}

// shouldInvoke decides whether the handler is to be invoked.
func shouldInvoke(k snapshot, now, handled handledKey, member string) bool {
	if k.index == 0 || k.view.Index == 0 || now == handled {
		return false
	}
	ours := !k.view.Free() && k.view.Holder == member
	return now.digest != "" && !ours
}

func (f *Follower) handle(ctx context.Context, k snapshot) error {
	if f.Replicate == nil {
		return f.Handler.Handle(ctx, k.event, fmt.Sprintf("CONSUL_INDEX=%d", k.index), "RESEC_MASTER="+published(k))
	}
	to, _, err := selectMaster(k.entries, k.view.State.Master, f.Naming.Tag(catalog.Master))
	if err != nil {
		return err
	}
	return f.Replicate(ctx, to)
}

// waitForChange waits for the next change of what matters, or for the retry.
func (f *Follower) waitForChange(ctx context.Context, k snapshot, changed <-chan struct{}, retry <-chan time.Time) bool {
	for {
		select {
		case <-ctx.Done():
			return false
		case <-retry:
			return true
		case <-changed:
			var n snapshot
			if n, changed = f.known.Watch(); retry == nil || f.keyOf(n) != f.keyOf(k) || n.view.Holder != k.view.Holder {
				return true
			}
		}
	}
}
