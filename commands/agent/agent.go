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

	"resec/commands/catalog"
	"resec/commands/cluster"
	"resec/commands/hooks"
	"resec/commands/lock"
	"resec/commands/metrics"
	"resec/commands/observable"
	"resec/commands/watch"
	"resec/handlers"
	"resec/handlers/redis"
)

// Agent is one member.
type Agent struct {
	Lock          lock.Lock
	Session       lock.SessionOptions
	Me            cluster.Master // as published
	Registrar     *catalog.Registrar
	Redis         *redis.Server // opened by Run
	Creds         redis.Options // of our Redis; with another address, of the others
	Probe         redis.Probe
	Guard         cluster.GuardPolicy
	EarlyTakeover bool             // a holder that is gone is not waited for
	Metrics       *metrics.Metrics // nil: nothing is counted
	Log           *slog.Logger

	Hooks        []hooks.Hook
	DumpState    <-chan os.Signal // each makes the agent log its state
	NotifySocket string           // systemd's socket; empty: there is none

	known              *observable.Value[snapshot]
	advertised         *observable.Value[catalog.Entry] // what the catalogue is to show of us
	probeNow           chan struct{}                    // asks for a look at our Redis now
	verifySession      chan struct{}                    // asks whether our session still stands
	delay              electionDelay
	leaderless         cluster.Leaderless
	masterCheck        checkPassing // at the last look at all
	hooks              *hooks.Runner
	lastNotifiedMaster handlers.Peer // whom our Redis follows, as hooks were told

	emergencyFence *redis.EmergencyFence // of the master that our Redis may be
	handedOff      bool                  // the lock was passed to another, who may have held our clients back
	highestTerm    uint64                // the highest that we know of: the state may be deleted by hand
	won            wonLock               // when we took the lock; zero: that is long ago
	warnedRunID    string                // the run of our Redis that came up as a master
	lastLogged     string                // why nothing is done, as last logged
	failures       int                   // steps in a row that failed
	failedTerm     uint64                // in which term

	evidence        failureEvidence
	links           replicaLinks              // in a reign
	background      sync.WaitGroup            // what was begun in a reign, and ends after it
	guardLeftBehind atomic.Bool               // we leave, and a guard of ours stays
	stallFenced     atomic.Bool               // our Redis is fenced because this process hung
	ready           atomic.Bool               // board and Redis are there for others to look at
	stopping        atomic.Bool               // we were told to end
	stopRequestedAt atomic.Pointer[time.Time] // when

	leadership struct { // the take-over or reign under way
		sync.Mutex
		session string // empty: none
		cancel  context.CancelCauseFunc
	}
}

// minStepRetry is the pause after a step that failed, when nothing changes in Consul before.
const minStepRetry, maxStepRetry = 500 * time.Millisecond, 5 * time.Second

// Run works until the context ends, then leaves: the lock given back, deregistered, the session destroyed.
func (a *Agent) Run(ctx context.Context) error {
	a.known, a.probeNow, a.verifySession = observable.New[snapshot](), make(chan struct{}, 1), make(chan struct{}, 1)
	a.advertised = observable.New[catalog.Entry]()
	a.Session.CheckDeadline = &lock.RenewalDeadline{}
	a.Registrar.Updated = func(sent time.Time, ttl time.Duration) {
		a.Session.CheckDeadline.Extend(sent, ttl)
		if !a.known.Load().Registered {
			a.known.Update(func(k *snapshot) { k.Registered = true })
		}
	}
	a.Registrar.Confirm = a.confirmMaster
	a.hooks = hooks.New(a.Hooks, a.Metrics.HookFailed, a.Log)
	over := make(chan struct{})
	var beside sync.WaitGroup
	defer beside.Wait()
	defer close(over)
	beside.Go(func() { a.hooks.Run(ctx, over) })
	beside.Go(func() { a.dumpOnSignal(over) })
	beside.Go(func() { a.keepNotified(ctx, over) })
	if err := a.waitUntilUnique(ctx); err != nil || ctx.Err() != nil {
		return err
	}
	defer a.Redis.Close()
	a.ready.Store(true)
	defer a.ready.Store(false)
	defer context.AfterFunc(ctx, func() {
		now := time.Now()
		a.stopRequestedAt.Store(&now)
		a.stopping.Store(true)
	})()
	a.Registrar.DeregisterTimeout = a.finalCallTimeout
	a.emergencyFence = redis.NewEmergencyFence(a.Creds)
	defer a.emergencyFence.Close()
	// Leaving has an order: the loop gives the lock back while session and registration still stand.
	outer, stop := context.WithCancel(context.WithoutCancel(ctx))
	g, outer := errgroup.WithContext(outer)
	g.Go(func() error { return a.watchLock(outer) })
	g.Go(func() error { a.watchRedis(outer); return nil })
	g.Go(func() error { a.keepReplicationConfig(outer); return nil })
	g.Go(func() error { a.watchMaster(outer); return nil })
	g.Go(func() error {
		if err := a.Registrar.Run(outer); err != nil {
			a.Log.Warn("the service is left in the catalogue", "err", err)
		}
		return nil
	})
	g.Go(func() error { a.keepSession(outer); return nil })
	g.Go(func() error { a.keepMemberKey(outer); return nil })
	g.Go(func() error { a.fenceWithoutLease(outer); return nil })
	g.Go(func() error { a.watchPause(outer); return nil })
	g.Go(func() error {
		defer stop()
		inner, end := context.WithCancel(outer)
		defer end()
		defer context.AfterFunc(ctx, end)()
		a.background.Go(func() { a.watchStalls(inner) })
		err := a.loop(inner)
		end()
		a.background.Wait()
		if err == nil { // or we should never have come, and have changed nothing
			a.restore(outer)
			a.background.Wait()
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
		known := a.known.Load().View.Index
		if v.Index >= known {
			a.observeView(v)
		} else if v, err := a.Lock.Read(ctx); err == nil { // it is late, or Consul has forgotten what was deleted: its index falls then
			a.takeView(v, func(now uint64) bool { return now == known })
		}
	}, func(err error) {
		if err == nil { // what comes may be older than what we know: Consul may have lost its data
			a.known.Update(func(k *snapshot) { k.View.Index, k.ConsulDown, k.ConsulUpSince = 0, false, time.Now() })
		} else if !a.known.Load().ConsulDown { // a call of another kind may get through before
			a.known.Update(func(k *snapshot) { k.ConsulDown = true })
		}
		said(err)
	})
}

// observeView takes a view in, unless a newer one is known: the watch and a read of our own race.
func (a *Agent) observeView(v cluster.View) {
	a.takeView(v, func(known uint64) bool { return v.Index >= known })
}

// takeView takes a view in, if the index of the one that is known allows it.
func (a *Agent) takeView(v cluster.View, allows func(known uint64) bool) {
	a.known.Update(func(k *snapshot) {
		if allows(k.View.Index) {
			k.SetView(v, time.Now())
			a.revoke(func(held string) bool { return held != v.Session })
		}
	})
}

// setWritten takes in what a write of our own has made of lock and state. The watch may have shown that already, and more; what
// it has shown of the members stands.
func (a *Agent) setWritten(v cluster.View) {
	a.known.Update(func(k *snapshot) {
		if v.Index <= k.View.Index {
			return
		}
		if v.LiveAgents = k.View.LiveAgents; v.Request != nil { // it was not granted by this write
			v.Request = k.View.Request
		}
		k.SetView(v, time.Now())
		a.revoke(func(held string) bool { return held != v.Session })
	})
}

// watchRedis learns our Redis's health, and logs where it turns.
func (a *Agent) watchRedis(ctx context.Context) {
	was, began := "", true
	a.Redis.Watch(ctx, a.Probe, a.probeNow, func(h redis.Health) {
		is := redis.Summary(cmp.Or(h.Err, h.AccessErr))
		switch {
		case is == was && !began:
		case h.AccessErr != nil:
			a.Log.Warn("redis lives, and does not let us in; what it said last stands", "redis", a.Redis.Addr(), "err", h.AccessErr)
		case h.Err != nil:
			a.Log.Warn("redis is unhealthy", "redis", a.Redis.Addr(), "why", is, "err", h.Err)
		default:
			a.Log.Info("redis is healthy", "redis", a.Redis.Addr(), "version", h.Status.Version, "run_id", h.Status.RunID)
		}
		was, began = is, false
		a.known.Update(func(k *snapshot) { k.Health, k.Probed = h, true })
	})
}

// snapshot is all that the agent knows at one moment.
type snapshot struct {
	cluster.Snapshot
	session *lock.Session // ours; nil: there is none
}

// setSession notes our session; nil: there is none.
func (k *snapshot) setSession(s *lock.Session) {
	k.session, k.SessionID = s, ""
	if s != nil {
		k.SessionID = s.ID
	}
}
