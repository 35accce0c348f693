// Package agent is `resec agent`: one member's health, registration, election and following, in one process.
package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/hashicorp/consul/api"
	"golang.org/x/sync/errgroup"

	"resec/commands/board"
	"resec/commands/catalog"
	"resec/commands/elect"
	"resec/commands/lock"
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

// alone waits until no other living member has our id, whose lock we would take for our own. Under Nomad a new
// allocation has the old one's name, and may start before that one's end.
func (a *Agent) alone(ctx context.Context) {
	for said := ""; ; {
		why := a.double(ctx)
		if why == "" || ctx.Err() != nil {
			return
		}
		if why != said {
			a.Log.Warn("not started yet", "why", why)
			said = why
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(retryAfter):
		}
	}
}

func (a *Agent) double(ctx context.Context) string {
	entries, err := a.Registrar.Naming.Instances(ctx, a.Lock.Client)
	if err != nil {
		return err.Error()
	}
	return double(entries, a.Me)
}

// double says which living instance, other than our own, has our id.
func double(entries []handlers.Entry, me lock.Master) string {
	for _, e := range entries {
		own := e.Node.Node == me.Node && e.Service.ID == me.ServiceID
		if e.ID() == me.ID && !own && e.Status() != api.HealthCritical {
			return fmt.Sprintf("MEMBER_ID %q is also that of the living service %s on node %s", me.ID, e.Service.ID, e.Node.Node)
		}
	}
	return ""
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

// loop decides and acts, one step at a time, each time something has changed.
func (a *Agent) loop(ctx context.Context) error {
	for {
		k := a.board.Get()
		if errors.Is(k.health.Err, redis.ErrTooOld) {
			return k.health.Err
		}
		a.publish(k, 0)
		todo, why := next(k, a.Me.ID, a.Registrar.Naming.Name(catalog.Master))
		if todo == quit {
			return errors.New(why)
		}
		again, err := a.act(ctx, k, todo, why)
		since := k.view.Index
		if todo == lead { // what it changed itself is no news
			since = a.board.Get().view.Index
		}
		if !a.rest(ctx, since, again, err) {
			return nil
		}
	}
}

// rest returns when it is time for the next step: something has changed, or again is over; after an error only when
// something has changed in Consul since that index, or after retryAfter. It returns false when the context has ended.
func (a *Agent) rest(ctx context.Context, since uint64, again time.Duration, err error) bool {
	var timer <-chan time.Time
	if err != nil {
		again = retryAfter
	}
	if again > 0 {
		timer = time.After(again)
	}
	for {
		select {
		case <-ctx.Done():
			return false
		case <-timer:
			return true
		case <-a.board.Changed():
			if err == nil || a.board.Get().view.Index != since {
				return true
			}
		}
	}
}

// act carries one step out. An error has been logged.
func (a *Agent) act(ctx context.Context, k known, todo step, why string) (again time.Duration, err error) {
	switch todo {
	case wait:
		a.say(why)
	case contend:
		if again, err = a.contend(ctx, k); errors.Is(err, lock.ErrMoved) {
			a.Log.Debug("the lock is not to be had", "err", err)
		} else if err != nil && err.Error() != a.said && ctx.Err() == nil {
			a.Log.Warn("the lock is not to be had; trying on", "err", err)
			a.said = err.Error()
		}
	case lead:
		err = a.lead(ctx, k)
	case yield:
		a.release(ctx, k.session, lock.WhyUnhealthy, why)
	case follow:
		err = a.follow(ctx, k)
	}
	return again, err
}

// say logs once what is waited for.
func (a *Agent) say(why string) {
	if why != a.said {
		a.Log.Debug("waiting", "why", why)
	}
	a.said = why
}

// follow makes our Redis a replica of the published master.
func (a *Agent) follow(ctx context.Context, k known) error {
	m := k.view.State.Master
	res, err := handlers.Replicate(ctx, a.Redis, m.Address, m.RunID, a.Creds)
	refusal := ""
	if err != nil {
		refusal = err.Error()
		if refusal != k.refusal {
			a.Log.Warn("redis does not follow the master", "master", m.ID, "term", m.Term, "err", err)
		}
	} else if res.Changed {
		a.Log.Info("following", "master", m.ID, "addr", m.Address, "term", m.Term)
	}
	if refusal != k.refusal {
		a.board.Learn(func(k *known) { k.refusal = refusal })
	}
	if res.Changed {
		a.glance()
	}
	return err
}

// glance asks for a look at our Redis now, for we have changed it.
func (a *Agent) glance() { poke(a.look) }

func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// publish says in the catalogue what we are. reign is the term under which our Redis is master, 0 where it is not.
func (a *Agent) publish(k known, reign uint64) {
	if !k.seen || k.view.Index == 0 {
		return
	}
	e := entry(k, reign)
	e.Meta["id"] = a.Me.ID
	a.Registrar.Set(e)
}

// entry decides what is published.
func entry(k known, reign uint64) catalog.Entry {
	st, term := k.health.Status, k.view.State.Term()
	e := catalog.Entry{Role: catalog.Replica, Status: api.HealthWarning}
	switch {
	case reign != 0:
		e.Role, term, e.Status = catalog.Master, reign, api.HealthPassing
		e.Output = fmt.Sprintf("master, term %d", reign)
	case k.health.Err != nil:
		e.Status, e.Output = api.HealthCritical, "redis is unusable: "+k.health.Err.Error()
	case k.refusal != "":
		e.Output = k.refusal
	case st.Master:
		e.Output = "master on its own; waits for an election"
	case st.Parked():
		e.Output = "parked; waits for a master"
	case st.Syncing:
		e.Output = "syncing from " + st.Of
	case !st.LinkUp:
		e.Output = "the link to " + st.Of + " is down"
	default:
		e.Status, e.Output = api.HealthPassing, "replica of "+st.Of
	}
	e.Meta = map[string]string{"term": fmt.Sprint(term), "version": st.Version}
	return e
}
