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

	"resec/commands/board"
	"resec/commands/catalog"
	"resec/commands/lock"
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

	board *board.Board[known]
}

// known is what a follower knows.
type known struct {
	index   uint64 // of the entries, 0: none yet
	event   []byte // as JSON
	digest  string // of what matters in it to a handler outside of this process
	entries []handlers.Entry
	run     string // the run id of our Redis, where that is watched
	view    lock.View
}

// job is what one successful call of the handler settles: this event, for this run of Redis.
type job struct{ digest, run string }

func (f *Follower) job(k known) job {
	if f.Replicate == nil {
		return job{digest: k.digest + published(k)}
	}
	_, digest, _ := choose(k.entries, k.view.State.Master, f.Naming.Tag(catalog.Master))
	return job{digest, k.run}
}

// published is the address of the master that is published beside the lock: an external handler is told it, for anybody can register
// a service. Empty: there is none, or nothing of it is known.
func published(k known) string {
	if m := k.view.State.Master; m != nil {
		return m.Address
	}
	return ""
}

const retryMin, retryMax = 200 * time.Millisecond, 5 * time.Second

// Run follows until the context ends.
func (f *Follower) Run(ctx context.Context) error {
	f.board = board.New[known]()
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		return watch.Run(ctx, f.Client, f.Naming.Watch(), func(index uint64, answer any) {
			if err := f.learn(index, answer); err != nil {
				f.Log.Error("an event is dropped", "err", err)
			}
		}, watch.Log(f.Log, "service "+f.Naming.Name(catalog.Master)))
	})
	g.Go(func() error {
		params := map[string]any{"type": "keyprefix", "prefix": f.LockKey}
		return watch.Run(ctx, f.Client, params, func(index uint64, answer any) {
			pairs, _ := answer.(api.KVPairs)
			f.board.Learn(func(k *known) { k.view = lock.Parse(f.LockKey, index, pairs) })
		}, watch.Log(f.Log, "lock"))
	})
	if f.Replicate != nil {
		g.Go(func() error {
			f.Redis.Watch(ctx, f.Probe, nil, func(h redis.Health) {
				if h.Err == nil && h.Status.RunID != f.board.Get().run {
					f.board.Learn(func(k *known) { k.run = h.Status.RunID })
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

// learn takes an answer in.
func (f *Follower) learn(index uint64, answer any) error {
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
	f.board.Learn(func(k *known) { k.index, k.event, k.digest, k.entries = index, append(event, '\n'), digest, entries })
	return nil
}

// choose is whom the built-in handler makes Redis follow, and a digest of what that depends on: address, port, id, term
// and run; empty where there is nobody. Where a master is published beside the lock, only its entry counts: anybody can
// register a service.
func choose(entries []handlers.Entry, published *lock.Master, tag string) (to handlers.Target, digest string, err error) {
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
	handled, failed, wait, said := job{}, job{}, time.Duration(0), ""
	for {
		var retry <-chan time.Time
		k, changed := f.board.Wait()
		job := f.job(k)
		if due(k, job, handled, f.Member) {
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
		if !f.rest(ctx, k, changed, retry) {
			return
		}
	}
}

// due decides whether the handler is to be invoked.
func due(k known, now, handled job, member string) bool {
	if k.index == 0 || k.view.Index == 0 || now == handled {
		return false
	}
	ours := !k.view.Free() && k.view.Holder == member
	return now.digest != "" && !ours
}

func (f *Follower) handle(ctx context.Context, k known) error {
	if f.Replicate == nil {
		return f.Handler.Handle(ctx, k.event, fmt.Sprintf("CONSUL_INDEX=%d", k.index), "RESEC_MASTER="+published(k))
	}
	to, _, err := choose(k.entries, k.view.State.Master, f.Naming.Tag(catalog.Master))
	if err != nil {
		return err
	}
	return f.Replicate(ctx, to)
}

// rest waits for the next change of what matters, or for the retry.
func (f *Follower) rest(ctx context.Context, k known, changed <-chan struct{}, retry <-chan time.Time) bool {
	for {
		select {
		case <-ctx.Done():
			return false
		case <-retry:
			return true
		case <-changed:
			var n known
			if n, changed = f.board.Wait(); retry == nil || f.job(n) != f.job(k) || n.view.Holder != k.view.Holder {
				return true
			}
		}
	}
}
