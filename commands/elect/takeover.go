// Package elect makes one member's Redis the master: it contends for the lock, and takes over in one order whatever
// the cause.
package elect

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"resec/commands/crash"
	"resec/commands/lock"
	"resec/handlers"
	"resec/handlers/redis"
)

// joinFor bounds how long the lock is kept for a sync with the old master, which goes on after it. ReachFor bounds the
// wait for the last bytes. pauseFor bounds how long the old master's clients wait if we die meanwhile: it is longer
// than ReachFor, so that a write that waits is answered by the successor's -READONLY and not let in before it.
const joinFor, pauseFor, ReachFor = 10 * time.Second, 4 * time.Second, 2 * time.Second

// ErrYielded is returned when the lock was passed to a member that has data which we lack.
var ErrYielded = errors.New("the lock was passed to a fresher member")

// Takeover is one member's way to be master, while it holds the lock.
type Takeover struct {
	Lock    lock.Lock
	Session *lock.Session
	Me      lock.Master // as published; the run id and the term are filled in
	Service string
	Redis   *redis.Server
	Creds   redis.Options
	Log     *slog.Logger
	Trace   *Trace // nil: none is kept

	// What an agent knows of the cluster; an election without one knows no members, and keeps no record.
	Record   bool
	Others   []Other                                 // the recorded members but ourselves
	Void     func(context.Context, lock.State) error // nil, where the record binds nobody at this moment
	Guard    lock.GuardPolicy
	Own      lock.Setting  // the operator's guard on our Redis
	Listed   *lock.Master  // whom the catalogue calls the master, where the state names none; nil: nobody
	Beside   int           // replicas of our Redis that no challenger counts
	Demotion *Demotion     // nil: nobody is
	Passed   bool          // we had passed the lock to a successor that gave up, and may have left a pause
	Hangs    time.Duration // added to what a silent master's guard takes
	Vigil    *Vigil        // what is known already of who follows nobody; nil: nothing
	Passing  bool          // the published master's check passed just now: clients are sent to its address, whoever is there
	Mute     string        // the run of a master that is known to be silent; empty: none
	Slow     time.Time     // until when a member whose Redis is silent is waited for, if its agent lives: it may be the freshest
	Force    *lock.Request // an operator wants it, whatever we hold; nil: the protocol decides
	Plan     *lock.Request // an operator wants it, by the protocol
}

// Other is a recorded member.
type Other struct {
	ID, Address string
	Session     string // of its agent; empty: that is dead
}

// passage is one take-over under way: what was done to others, to be undone or finished.
type passage struct {
	Takeover
	began  time.Time // no earlier than it was elected
	sealed []*sealed
	old    *superseded
	behind sync.WaitGroup // what goes on once we are published
	binds  lock.Binding   // Void: the record does not let us lead, so we were elected because it binds nobody, or keep none
}

// Run ends the published master's reign, promotes, publishes and lets writes in. It returns the view after publishing, and
// what waits until nothing is left to do for the others, or the context ends; that is to be called in any case. On an error
// the old master is as it was, or parked if nothing of it was missing here; ours refuses writes. Whoever has the lock next
// takes over from there.
func (t Takeover) Run(ctx context.Context, v lock.View) (_ lock.View, finish func(), err error) {
	if t.Vigil == nil {
		t.Vigil = NewVigil()
	}
	p := &passage{Takeover: t, began: time.Now(), old: &superseded{log: t.Log}}
	ctx, stop := context.WithCancel(ctx)
	// No command to another's Redis once the lease is over.
	leased, cancel := t.Session.Lease.Context(ctx)
	finish = func() {
		p.behind.Wait()
		cancel() // only now: what ends it before is the reason
		stop()
		p.close()
	}
	p.behind.Go(func() { t.Demotion.read(ctx) })
	own, err := t.Redis.Status(ctx)
	if err != nil {
		stop()
		return v, finish, err
	}
	if t.Passed {
		if err := t.Redis.Unpause(ctx); err != nil {
			t.Log.Debug("the pause of a successor could not be ended", "err", err)
		}
	}
	if m := v.State.Master; own.Master && !own.Fenced() && (m == nil && t.Listed == nil || m != nil && m.RunID == own.RunID) {
		// It is the master already, and only the lock or the state was lost: nothing moves.
		v, err = t.publish(ctx, v, own, t.stands(own))
		return v, finish, err
	}
	on, end := beyond(leased)
	v, set, err := p.through(leased, on, v, own)
	if err != nil {
		if mine(leased) && !errors.Is(err, ErrLost) {
			p.old.undo(context.WithoutCancel(ctx), t.Session.Lease.Left(time.Now()))
		}
		end()
		stop()
		return v, finish, err
	}
	err = p.open(ctx, on, v.State, set)
	end()
	if err != nil {
		stop()
	}
	return v, finish, err
}

// open lets writes in. At the same time, for the guard waits for them, the others are made to follow: by the time that this
// returns, if the process is to end.
func (p *passage) open(ctx, on context.Context, s lock.State, set lock.Setting) error {
	leaving := ctx.Err() != nil
	if leaving {
		ctx = on
	}
	p.behind.Go(func() { p.repoint(ctx, s) })
	if !leaving || !p.old.silent {
		p.behind.Go(func() { p.old.settle(ctx, p.Session.Lease, s.Master.Address) })
	}
	if err := p.leased(); err != nil { // this process hung
		return err
	}
	if err := p.Redis.SetGuard(on, set.Replicas, set.MaxLag); err != nil {
		return err
	}
	p.Trace.step("lifted")
	p.Log.Info("redis accepts writes", "redis", p.Redis.Addr(), "min_replicas", set.Replicas, "max_lag", set.MaxLag)
	if leaving {
		p.behind.Wait()
	}
	return nil
}

// through is the one order, until we are published; from when the old master accepts no writes, it goes on for as long as the
// second context. It returns the guard that is to be set then.
func (p *passage) through(ctx, on context.Context, v lock.View, own redis.Status) (_ lock.View, set lock.Setting, err error) {
	bar := v.State.Bar(p.Me.ID, own.RunID)
	if p.Force == nil && (!p.Record || bar != "") {
		p.binds = lock.Void
	}
	if err := p.unseen(ctx, v, own); err != nil {
		return v, set, err
	}
	p.seal(ctx, v)
	p.Trace.step("sealed")
	if err := p.supersede(ctx, v, own); err != nil {
		return v, set, err
	}
	if m := v.State.Master; !p.old.parked && (m == nil || m.RunID != own.RunID) { // something else may come at the old one's address
		if err := p.detach(ctx); err != nil {
			return v, set, err
		}
		if p.Force == nil {
			if err := p.outwait(ctx, v); err != nil {
				return v, set, err
			}
		}
	}
	ctx = on
	if p.Force == nil {
		if v, err = p.freshest(ctx, v); err != nil {
			return v, set, err
		}
		if p.Record && bar != "" {
			if err := p.Void(ctx, v.State); err != nil {
				return v, set, fmt.Errorf("%s, and the record holds again: %w", bar, err)
			}
		}
	}
	p.Trace.step("checked")
	st, err := p.Redis.Promote(ctx)
	if err != nil {
		return v, set, err
	}
	p.Trace.step("promoted")
	published, set := p.guard(v, st)
	if v, err = p.publish(ctx, v, st, published); err == nil {
		p.Trace.step("published")
	}
	return v, set, err
}

// leased says that the lease is over. It is asked right before each command to another's Redis: a process that was frozen goes
// on before its timers do.
func (t Takeover) leased() error {
	if t.Session.Lease.Left(time.Now()) == 0 {
		return lock.ErrLease
	}
	return nil
}

// repoint makes those that we parked follow us, in case their agents are not there to do it.
func (p *passage) repoint(ctx context.Context, s lock.State) {
	own := sync.OnceValues(func() (redis.Status, error) { return p.Redis.Status(ctx) }) // it may have been restarted since, empty
	var reading sync.WaitGroup
	defer reading.Wait()
	reading.Go(func() { _, _ = own() })
	p.each(func(m *sealed) {
		if m.err != nil {
			return
		}
		st, err := m.server.Status(ctx)
		if us, e := own(); e != nil || !us.Master || us.RunID != s.Master.RunID || handlers.MayFollow(m.status, us, s.Overruled(m.ID)) != nil {
			return
		}
		if err == nil && st.Parked() && p.leased() == nil {
			err = m.server.Follow(ctx, s.Master.Address)
			p.Log.Debug("re-pointed", "member", m.ID, "err", err)
		}
	})
	crash.At("repointed") // beside what is measured
}

func (p *passage) close() {
	for _, m := range p.sealed {
		m.close()
	}
	p.old.close()
}
