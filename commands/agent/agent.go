// Package agent is `resec agent`: one member's health, registration, election and following, in one process.
package agent

import (
	"context"
	"log/slog"
	"time"

	"github.com/hashicorp/consul/api"
	"golang.org/x/sync/errgroup"

	"resec/commands/board"
	"resec/commands/catalog"
	"resec/commands/elect"
	"resec/commands/lock"
	"resec/commands/watch"
	"resec/handlers/redis"
)

// Agent is one member.
type Agent struct {
	Lock      lock.Lock
	Session   lock.SessionOptions
	Me        lock.Master // as published
	Registrar *catalog.Registrar
	Redis     *redis.Server
	Creds     redis.Options // with which other servers are asked
	Probe     redis.Probe
	Lease     *lock.Lease
	Log       *slog.Logger

	board *board.Board[known]
	look  chan struct{} // asks for a look at our Redis now
	doubt chan struct{} // asks whether our session still stands
	turn  turn
	said  string // why nothing is done, as last logged
}

// retryAfter is the pause after a step that failed, when nothing changes in Consul before.
const retryAfter = 500 * time.Millisecond

// Run works until the context ends, then leaves: the lock given back, deregistered, the session destroyed.
func (a *Agent) Run(ctx context.Context) error {
	a.board, a.look, a.doubt = board.New[known](), make(chan struct{}, 1), make(chan struct{}, 1)
	a.Registrar.Updated = func(sent time.Time, ttl time.Duration) {
		a.Lease.Extend("check", sent, ttl)
		if !a.board.Get().registered {
			a.board.Learn(func(k *known) { k.registered = true })
		}
	}
	if a.alone(ctx); ctx.Err() != nil {
		return nil
	}
	// Leaving has an order: the loop gives the lock back while session and registration still stand.
	outer, stop := context.WithCancel(context.WithoutCancel(ctx))
	g, outer := errgroup.WithContext(outer)
	g.Go(func() error { return a.watchLock(outer) })
	g.Go(func() error { a.watchRedis(outer); return nil })
	g.Go(func() error { return a.Registrar.Run(outer) })
	g.Go(func() error { a.keepSession(outer); return nil })
	g.Go(func() error {
		defer stop()
		inner, end := context.WithCancel(outer)
		defer end()
		defer context.AfterFunc(ctx, end)()
		return a.loop(inner)
	})
	return g.Wait()
}

func (a *Agent) watchLock(ctx context.Context) error {
	said := watch.Log(a.Log, "lock")
	params := map[string]any{"type": "keyprefix", "prefix": a.Lock.Key}
	return watch.Run(ctx, a.Lock.Client, params, func(index uint64, answer any) {
		pairs, _ := answer.(api.KVPairs)
		a.see(lock.Parse(a.Lock.Key, index, pairs))
	}, func(err error) {
		if err == nil { // what comes may be older than what we know: Consul may have lost its data
			a.board.Learn(func(k *known) { k.view.Index, k.back = 0, time.Now() })
		}
		said(err)
	})
}

// see takes a view in, unless a newer one is known: the watch and a read of our own race.
func (a *Agent) see(v lock.View) {
	a.board.Learn(func(k *known) {
		if v.Index < k.view.Index {
			return
		}
		k.view = v
		if k.lose != nil && v.Session != k.session {
			k.lose(elect.ErrLost)
		}
	})
}

// watchRedis learns our Redis's health, and logs where it turns.
func (a *Agent) watchRedis(ctx context.Context) {
	was := ""
	a.Redis.Watch(ctx, a.Probe, a.look, func(h redis.Health) {
		is := "usable"
		if h.Err != nil {
			is = h.Err.Error()
		}
		switch {
		case is == was:
		case h.Err != nil:
			a.Log.Warn("redis is unhealthy", "redis", a.Redis.Addr(), "why", h.Err)
		default:
			a.Log.Info("redis is healthy", "redis", a.Redis.Addr(), "version", h.Status.Version, "run_id", h.Status.RunID)
		}
		was = is
		a.board.Learn(func(k *known) { k.health, k.seen = h, true })
	})
}
