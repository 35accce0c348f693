// Package agent is `resec agent`: one member's health, registration, election and following, in one process.
//
// The agent keeps what it knows in one snapshot, which watchers update and all others read. One goroutine, the controller,
// decides by it and acts: it contends for the lock, runs a term of leadership, follows, or parks. Every change of our own
// Redis goes through localredis.Redis. The package announce keeps the member present in Consul. README.md in this folder is the
// map: rooms, goroutines, and how an agent starts.
package agent

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"resec/commands/announce"
	"resec/commands/catalog"
	"resec/commands/cluster"
	"resec/commands/hooks"
	"resec/commands/known"
	"resec/commands/localredis"
	"resec/commands/lock"
	"resec/commands/metrics"
	"resec/commands/monitor"
	"resec/commands/observable"
	"resec/commands/observe"
	"resec/commands/place"
	"resec/commands/repair"
	"resec/commands/survey"
	"resec/commands/systemd"
	"resec/handlers/redis"
)

// Agent is one member. Its exported fields are set before Run and not changed afterwards.
type Agent struct {
	Lock          lock.Lock
	Session       lock.SessionOptions
	Me            cluster.Master // as published
	Registrar     *catalog.Registrar
	Creds         redis.Options // of our Redis; with another address, of the other members' servers
	Probe         redis.Probe
	Guard         cluster.GuardPolicy
	EarlyTakeover bool // end the session of a holder that is proven down, before Consul does
	// BootstrapExpect is with how many members a cluster is founded; 0: any number, after a wait.
	BootstrapExpect int
	Metrics         *metrics.Metrics // nil: nothing is counted
	Log             *slog.Logger

	Hooks        []hooks.Hook
	DumpState    <-chan os.Signal // each signal makes the agent log its state
	NotifySocket string           // systemd's socket; empty: there is none
	Watchdog     time.Duration    // systemd ends the process if its watchdog is not fed for so long; 0: it has none

	known         *known.Value
	announcer     *announce.Announcer
	observer      *observe.Observer // updates known
	surveyor      *survey.Surveyor
	addresses     *known.Addresses // updates known
	verifySession chan struct{}    // asks the session keeper whether our session still exists
	dropSession   chan string      // makes the session keeper give up our session of that ID
	hooks         *hooks.Runner
	local         *localredis.Redis // set before ready is
	links         replicaLinks
	shutdown      shutdown
	ready         atomic.Bool  // local and known may be read from outside
	reports       sync.RWMutex // held by a report; local and surveyor are replaced while none is under way
	decided       heartbeat    // of the controller, in a term and a takeover, too
}

// The pause after a step that failed, when nothing changes in Consul before: it doubles from the first to the second.
const minStepRetry, maxStepRetry = 500 * time.Millisecond, 5 * time.Second

// finalCallRetry is the pause between two tries of a call to Consul while the agent stops.
const finalCallRetry = 100 * time.Millisecond

// Run works until the context ends, then hands mastership over, releases the lock, deregisters and destroys the session.
// It returns an error if the agent is misconfigured (the lock key or the service name is another cluster's), or if Redis is
// not one that it can manage.
func (a *Agent) Run(ctx context.Context) error {
	a.known, a.verifySession, a.dropSession = observable.New[known.Snapshot](), make(chan struct{}, 1), make(chan string, 1)
	a.addresses = &known.Addresses{Known: a.known, Log: a.Log}
	a.announcer = a.newAnnouncer()
	a.hooks = hooks.New(a.Hooks, a.Metrics.HookFailed, a.Log)
	ended := make(chan struct{})
	var subscribers sync.WaitGroup
	defer subscribers.Wait()
	defer close(ended)
	subscribers.Go(func() { a.hooks.Run(ctx, ended) })
	subscribers.Go(func() { a.dumpOnSignal(ctx, ended) })
	subscribers.Go(func() {
		systemd.Notifier{Socket: a.NotifySocket, Known: a.known, Advertised: a.announcer.Advertised, Watchdog: a.Watchdog,
			Decided: a.lastDecided, Log: a.Log}.Run(ctx, ended)
	})
	for {
		err := a.runUnique(ctx)
		if !errors.Is(err, announce.ErrNotUnique) {
			return err
		}
		a.Log.Warn("another process is this member, or manages this redis; this agent has stopped its work, and waits until that "+
			"process has ended", "event", "gives_way", "member", a.Me.ID, "redis", a.Creds.Addr, "why", err)
		a.known.Update(func(k *known.Snapshot) { place := k.Place; *k = known.Snapshot{}; k.Place = place })
	}
}

// runUnique waits until no other process is this member, and works until the context ends. It returns announce.ErrNotUnique if
// there is another one after all, and the errors of Run.
func (a *Agent) runUnique(ctx context.Context) error {
	server, err := a.announcer.OpenUnique(ctx)
	if err != nil && ctx.Err() != nil {
		return nil // asked to stop before anything was done
	}
	if err != nil {
		return err
	}
	a.known.Update(func(k *known.Snapshot) { k.Since = time.Now().UnixMilli() })
	a.manage(server)
	defer a.local.Close()
	a.decided.beat()
	a.ready.Store(true)
	defer a.ready.Store(false)
	a.shutdown.asked = ctx
	defer context.AfterFunc(ctx, a.shutdown.request)()
	return a.work(ctx)
}

// manage makes the server our Redis. A report of the time before, when this agent gave way to another one, ends first.
func (a *Agent) manage(server *redis.Server) {
	a.reports.Lock()
	defer a.reports.Unlock()
	a.local = localredis.New(server, a.Creds, a.Log)
	a.observer = a.newObserver()
	a.surveyor = &survey.Surveyor{ID: a.Me.ID, Lock: a.Lock, Naming: a.Registrar.Naming, Creds: a.Creds,
		Own: a.local.Status, NoteAddress: a.addresses.Note, Log: a.Log}
}

// work runs the watchers, the keepers and the controller. They outlive the controller's steps at the end: it hands over
// while session and registration still exist.
func (a *Agent) work(ctx context.Context) error {
	outer, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	fencer := a.newFencer()
	g, outer := errgroup.WithContext(outer)
	g.Go(func() error { return a.observer.Run(outer) })
	g.Go(func() error { a.local.KeepReplicationConfig(outer, a.known, a.masterService()); return nil })
	g.Go(func() error {
		a.local.KeepRefusals(outer, a.known, a.masterService(), a.Registrar.Interval)
		return nil
	})
	g.Go(func() error { a.newMonitor().Run(outer); return nil })
	g.Go(func() error { a.announcer.KeepRegistered(outer); return nil })
	g.Go(func() error { a.announcer.KeepSession(outer); return nil })
	g.Go(func() error { a.announcer.KeepMemberKey(outer); return nil })
	g.Go(func() error { a.newPlaceKeeper().Run(outer); return nil })
	g.Go(func() error { a.announcer.WatchHidden(outer); return nil })
	g.Go(func() error { return a.announcer.KeepUnique(outer) })
	g.Go(func() error { fencer.RunLease(outer); return nil })
	g.Go(func() error { known.WatchPause(outer, a.known, a.Log); return nil })
	g.Go(func() error { a.newRepairer().Run(outer); return nil })
	g.Go(func() error {
		defer stop()
		return a.control(ctx, outer, fencer)
	})
	return g.Wait()
}

// control runs the controller and the watch of stalls until ctx ends, then restores Redis. An error of the controller means that
// the agent is misconfigured: it has changed nothing, so there is nothing to restore.
func (a *Agent) control(ctx, outer context.Context, fencer *localredis.Fencer) error {
	inner, end := context.WithCancel(outer)
	defer end()
	defer context.AfterFunc(ctx, end)()
	c := newController(a)
	var stalls sync.WaitGroup
	stalls.Go(func() { fencer.RunStalls(inner) })
	err := c.run(inner)
	end()
	stalls.Wait()
	if err == nil && !errors.Is(context.Cause(outer), announce.ErrNotUnique) { // otherwise another agent manages our Redis
		c.restore(outer)
	}
	c.background.Wait()
	return err
}

// newMonitor returns what watches the master that our Redis follows.
func (a *Agent) newMonitor() *monitor.Monitor {
	return &monitor.Monitor{ID: a.Me.ID, Known: a.known, Creds: a.Creds, Probe: a.Probe, EarlyTakeover: a.EarlyTakeover,
		Own: a.local.Status, ParkIfFollowing: a.local.ParkIfFollowing, NoteAddress: a.addresses.Note, Log: a.Log}
}

// newAnnouncer returns what keeps this member present in Consul. It reads the lock through the observer, which exists once our
// Redis is open.
func (a *Agent) newAnnouncer() *announce.Announcer {
	session := a.Session
	session.CheckDeadline = &lock.RenewalDeadline{}
	return announce.New(&announce.Announcer{Me: a.Me, Lock: a.Lock, Session: session, Registrar: a.Registrar, Creds: a.Creds,
		Log: a.Log, Known: a.known, Advertised: observable.New[catalog.Entry](), Verify: a.verifySession, Drop: a.dropSession,
		Read:             func(ctx context.Context) (cluster.View, error) { return a.observer.Read(ctx) },
		FinalCallTimeout: a.shutdown.finalCallTimeout, Leaving: a.shutdown.requested,
		GuardLeftBehind: a.shutdown.guardLeftBehind.Load})
}

// newPlaceKeeper returns what follows the address of our node.
func (a *Agent) newPlaceKeeper() *place.Keeper {
	me := a.known.Load().Announced(a.Me)
	return &place.Keeper{Client: a.Lock.Client, Me: me, Host: a.Registrar.Host, Port: a.Registrar.Port,
		Interval: a.Registrar.Interval, Creds: a.Creds, Own: func() redis.Health { return a.known.Load().Health }, Log: a.Log,
		Moved: func(p cluster.Place) { a.known.Update(func(k *known.Snapshot) { k.Place = p }) }}
}

// newObserver returns what updates the snapshot with each view of the lock and each probe of our Redis.
func (a *Agent) newObserver() *observe.Observer {
	return &observe.Observer{Lock: a.Lock, Redis: a.local, Probe: a.Probe, ProbeNow: a.local.ProbeRequests(), Log: a.Log,
		Older: a.Registrar.Compare, // the catalogue may show older entries, too
		Update: func(change func(*observe.Snapshot)) {
			a.known.Update(func(k *known.Snapshot) { change(&k.Observation) })
		}}
}

// newRepairer returns what writes back what Consul has lost.
func (a *Agent) newRepairer() *repair.Repairer {
	return &repair.Repairer{ID: a.Me.ID, Lock: a.Lock, Known: a.known, TTL: a.Session.TTL, Wrote: a.observer.Wrote,
		Verify: a.verifySession, Done: a.Registrar.Compare, Log: a.Log}
}

// newFencer returns what fences our Redis while it may no longer be the only master.
func (a *Agent) newFencer() *localredis.Fencer {
	return &localredis.Fencer{Redis: a.local, Known: a.known, ID: a.Me.ID, Guard: a.Guard, StallLimit: a.stallLimit(),
		Streams: a.links.streams, Fenced: a.notifyFenced, Log: a.Log}
}

// stallLimit is for how long this process may not have run without a consequence.
func (a *Agent) stallLimit() time.Duration {
	detection := cluster.DetectionTime(a.Probe, a.EarlyTakeover)
	return cluster.StallLimit(time.Duration(a.Guard.MaxLag)*time.Second, a.Registrar.Interval, detection)
}
