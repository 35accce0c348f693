// Package agent is `resec agent`: one member's health, registration, election and following, in one process.
package agent

import (
	"cmp"
	"context"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/consul/api"
	"golang.org/x/sync/errgroup"

	"resec/commands/board"
	"resec/commands/catalog"
	"resec/commands/hooks"
	"resec/commands/lock"
	"resec/commands/metrics"
	"resec/commands/watch"
	"resec/handlers"
	"resec/handlers/redis"
)

// Agent is one member.
type Agent struct {
	Lock      lock.Lock
	Session   lock.SessionOptions
	Me        lock.Master // as published
	Registrar *catalog.Registrar
	Redis     *redis.Server // opened by Run
	Creds     redis.Options // of our Redis; with another address, of the others
	Probe     redis.Probe
	Guard     lock.GuardPolicy
	Early     bool             // a holder that is gone is not waited for
	Metrics   *metrics.Metrics // nil: nothing is counted
	Log       *slog.Logger

	Hooks  []hooks.Hook
	Ask    <-chan os.Signal // each makes the agent log its state
	Notify string           // systemd's socket; empty: there is none

	board   *board.Board[known]
	shown   *board.Board[catalog.Entry] // what the catalogue is to show of us
	look    chan struct{}               // asks for a look at our Redis now
	doubt   chan struct{}               // asks whether our session still stands
	turn    turn
	vacant  vacancy
	passing passing // at the last look at all
	hooks   *hooks.Runner
	follows handlers.Peer // whom our Redis follows, as hooks were told

	testament *redis.Testament // of the master that our Redis may be
	passed    bool             // the lock was passed to another, who may have held our clients back
	term      uint64           // the highest that we know of: the state may be deleted by hand
	acquired  acquired         // when we took the lock; zero: that is long ago
	warned    string           // the run of our Redis that came up as a master
	said      string           // why nothing is done, as last logged
	fails     int              // steps in a row that failed
	failed    uint64           // in which term

	bereft  bereavement
	linked  linked                    // in a reign
	aside   sync.WaitGroup            // what was begun in a reign, and ends after it
	guarded atomic.Bool               // we leave, and a guard of ours stays
	hung    atomic.Bool               // our Redis is fenced because this process hung
	atWork  atomic.Bool               // board and Redis are there for others to look at
	leaving atomic.Bool               // we were told to end
	told    atomic.Pointer[time.Time] // when

	losing struct { // the take-over or reign under way
		sync.Mutex
		session string // empty: none
		cancel  context.CancelCauseFunc
	}
}

// retryAfter is the pause after a step that failed, when nothing changes in Consul before.
const retryAfter, retryMax = 500 * time.Millisecond, 5 * time.Second

// Run works until the context ends, then leaves: the lock given back, deregistered, the session destroyed.
func (a *Agent) Run(ctx context.Context) error {
	a.board, a.look, a.doubt = board.New[known](), make(chan struct{}, 1), make(chan struct{}, 1)
	a.shown = board.New[catalog.Entry]()
	a.Session.Clock = &lock.Clock{}
	a.Registrar.Updated = func(sent time.Time, ttl time.Duration) {
		a.Session.Clock.Extend(sent, ttl)
		if !a.board.Get().registered {
			a.board.Learn(func(k *known) { k.registered = true })
		}
	}
	a.Registrar.Confirm = a.confirm
	a.hooks = hooks.New(a.Hooks, a.Metrics.HookFailed, a.Log)
	over := make(chan struct{})
	var beside sync.WaitGroup
	defer beside.Wait()
	defer close(over)
	beside.Go(func() { a.hooks.Run(ctx, over) })
	beside.Go(func() { a.answer(over) })
	beside.Go(func() { a.keepNotified(ctx, over) })
	if err := a.alone(ctx); err != nil || ctx.Err() != nil {
		return err
	}
	defer a.Redis.Close()
	a.atWork.Store(true)
	defer a.atWork.Store(false)
	defer context.AfterFunc(ctx, func() {
		now := time.Now()
		a.told.Store(&now)
		a.leaving.Store(true)
	})()
	a.Registrar.Bye = a.bye
	a.testament = redis.NewTestament(a.Creds)
	defer a.testament.Close()
	// Leaving has an order: the loop gives the lock back while session and registration still stand.
	outer, stop := context.WithCancel(context.WithoutCancel(ctx))
	g, outer := errgroup.WithContext(outer)
	g.Go(func() error { return a.watchLock(outer) })
	g.Go(func() error { a.watchRedis(outer); return nil })
	g.Go(func() error { a.keepEquipped(outer); return nil })
	g.Go(func() error { a.watchMaster(outer); return nil })
	g.Go(func() error {
		if err := a.Registrar.Run(outer); err != nil {
			a.Log.Warn("the service is left in the catalogue", "err", err)
		}
		return nil
	})
	g.Go(func() error { a.keepSession(outer); return nil })
	g.Go(func() error { a.keepPresence(outer); return nil })
	g.Go(func() error { a.keepLease(outer); return nil })
	g.Go(func() error { a.watchPause(outer); return nil })
	g.Go(func() error {
		defer stop()
		inner, end := context.WithCancel(outer)
		defer end()
		defer context.AfterFunc(ctx, end)()
		a.aside.Go(func() { a.mindGaps(inner) })
		err := a.loop(inner)
		end()
		a.aside.Wait()
		if err == nil { // or we should never have come, and have changed nothing
			a.restore(outer)
			a.aside.Wait()
		}
		return err
	})
	return g.Wait()
}

func (a *Agent) watchLock(ctx context.Context) error {
	said := watch.Log(a.Log, "lock")
	params := map[string]any{"type": "keyprefix", "prefix": a.Lock.Key}
	return watch.Run(ctx, a.Lock.Client, params, func(index uint64, answer any) {
		pairs, _ := answer.(api.KVPairs)
		v := a.Lock.Parse(index, pairs)
		known := a.board.Get().view.Index
		if v.Index >= known {
			a.see(v)
		} else if v, err := a.Lock.Read(ctx); err == nil { // it is late, or Consul has forgotten what was deleted: its index falls then
			a.take(v, func(now uint64) bool { return now == known })
		}
	}, func(err error) {
		if err == nil { // what comes may be older than what we know: Consul may have lost its data
			a.board.Learn(func(k *known) { k.view.Index, k.away, k.back = 0, false, time.Now() })
		} else if !a.board.Get().away { // a call of another kind may get through before
			a.board.Learn(func(k *known) { k.away = true })
		}
		said(err)
	})
}

// see takes a view in, unless a newer one is known: the watch and a read of our own race.
func (a *Agent) see(v lock.View) {
	a.take(v, func(known uint64) bool { return v.Index >= known })
}

// take takes a view in, if the index of the one that is known allows it.
func (a *Agent) take(v lock.View, allows func(known uint64) bool) {
	a.board.Learn(func(k *known) {
		if allows(k.view.Index) {
			k.see(v)
			a.lost(func(held string) bool { return held != v.Session })
		}
	})
}

// wrote takes in what a write of our own has made of lock and state. The watch may have shown that already, and more; what
// it has shown of the members stands.
func (a *Agent) wrote(v lock.View) {
	a.board.Learn(func(k *known) {
		if v.Index <= k.view.Index {
			return
		}
		if v.Members = k.view.Members; v.Request != nil { // it was not granted by this write
			v.Request = k.view.Request
		}
		k.see(v)
		a.lost(func(held string) bool { return held != v.Session })
	})
}

// watchRedis learns our Redis's health, and logs where it turns.
func (a *Agent) watchRedis(ctx context.Context) {
	was, began := "", true
	a.Redis.Watch(ctx, a.Probe, a.look, func(h redis.Health) {
		is := redis.Why(cmp.Or(h.Err, h.Denied))
		switch {
		case is == was && !began:
		case h.Denied != nil:
			a.Log.Warn("redis lives, and does not let us in; what it said last stands", "redis", a.Redis.Addr(), "err", h.Denied)
		case h.Err != nil:
			a.Log.Warn("redis is unhealthy", "redis", a.Redis.Addr(), "why", is, "err", h.Err)
		default:
			a.Log.Info("redis is healthy", "redis", a.Redis.Addr(), "version", h.Status.Version, "run_id", h.Status.RunID)
		}
		was, began = is, false
		a.board.Learn(func(k *known) { k.health, k.seen = h, true })
	})
}
