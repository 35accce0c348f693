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

// joinFor bounds how long the lock is kept for a sync with the old master, which goes on after it. catchUp bounds the
// wait for the last bytes. pauseFor bounds how long the old master's clients wait if we die meanwhile: it is longer
// than catchUp, so that a write that waits is answered by the successor's -READONLY and not let in before it.
const joinFor, pauseFor, catchUp = 10 * time.Second, 4 * time.Second, 2 * time.Second

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

	// What an agent knows of the cluster; an election without one knows no members, and keeps no record.
	Record bool
	Others []Other                     // the recorded members but ourselves
	Void   func(context.Context) error // nil, where the record binds nobody at this moment
	Guard  lock.GuardPolicy
	Own    lock.Setting  // the operator's guard on our Redis
	Force  *lock.Request // an operator wants it, whatever we hold; nil: the protocol decides
}

// Other is a recorded member.
type Other struct {
	ID, Address string
	Session     string // of its agent; empty: that is dead
}

// passage is one take-over under way: what was done to others, to be undone or finished.
type passage struct {
	Takeover
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
	p := &passage{Takeover: t, old: &superseded{log: t.Log}}
	own, err := t.Redis.Status(ctx)
	if err != nil {
		return v, p.close, err
	}
	if m := v.State.Master; own.Master && !own.Fenced() && (m == nil || m.RunID == own.RunID) {
		// It is the master already, and only the lock or the state was lost: nothing moves.
		v, err = t.publish(ctx, v, own, t.stands(own))
		return v, p.close, err
	}
	ctx, stop := context.WithCancel(ctx)
	finish = func() {
		p.behind.Wait()
		stop()
		p.close()
	}
	// No command to another's Redis once the lease is over.
	leased, cancel := t.Session.Lease.Context(ctx)
	context.AfterFunc(ctx, cancel)
	v, set, err := p.through(leased, v, own)
	if err != nil {
		if mine(leased) {
			p.old.undo(context.WithoutCancel(ctx), t.Session.Lease.Left(time.Now()))
		}
		stop()
		return v, finish, err
	}
	p.behind.Go(func() { p.repoint(leased, v.State) }) // at the same time: the guard waits for them
	p.behind.Go(func() { p.old.settle(ctx, t.Session.Lease, v.State.Master.Address) })
	if err = p.Redis.SetGuard(ctx, set.Replicas, set.MaxLag); err != nil {
		stop()
		return v, finish, err
	}
	crash.At("lifted")
	t.Log.Info("redis accepts writes", "redis", t.Redis.Addr(), "min_replicas", set.Replicas, "max_lag", set.MaxLag)
	return v, finish, nil
}

// mine tells whether the lock is still ours, so that the old master may be let go: after a loss or the lease's end the next
// holder may count on our fence. The end of this process is no loss.
func mine(ctx context.Context) bool {
	cause := context.Cause(ctx)
	return cause == nil || cause == context.Canceled
}

// through is the one order, until we are published. It returns the guard that is to be set then.
func (p *passage) through(ctx context.Context, v lock.View, own redis.Status) (_ lock.View, set lock.Setting, err error) {
	bar := v.State.Bar(p.Me.ID, own.RunID)
	if p.Force == nil && (!p.Record || bar != "") {
		p.binds = lock.Void
	}
	p.seal(ctx, v)
	crash.At("sealed")
	if err := p.supersede(ctx, v, own); err != nil {
		return v, set, err
	}
	if p.Force == nil {
		if v, err = p.freshest(ctx, v); err != nil {
			return v, set, err
		}
		if p.Record && bar != "" {
			if err := p.Void(ctx); err != nil {
				return v, set, fmt.Errorf("%s, and the record holds again: %w", bar, err)
			}
		}
	}
	crash.At("checked")
	st, err := p.Redis.Promote(ctx)
	if err != nil {
		return v, set, err
	}
	crash.At("promoted")
	published, set := p.guard(v, st)
	if v, err = p.publish(ctx, v, st, published); err == nil {
		crash.At("published")
	}
	return v, set, err
}

// stands is the guard of a master that goes on as it is.
func (t Takeover) stands(own redis.Status) lock.Setting {
	if !t.Record || t.Guard.Replicas == lock.GuardOff {
		return lock.Setting{Replicas: lock.GuardOff}
	}
	return lock.Setting{Replicas: own.MinReplicas, MaxLag: own.MaxLag}.Bound()
}

// guard is the one that a new master begins with: those whom we parked are about to attach, unless they need a full sync.
func (p *passage) guard(v lock.View, own redis.Status) (published, set lock.Setting) {
	if !p.Record {
		return lock.Setting{Replicas: lock.GuardOff}, lock.Setting{Replicas: own.Unfenced(), MaxLag: own.MaxLag}
	}
	g := lock.Guarding{Policy: p.Guard, Own: p.Own, Members: v.State.Size(p.Me.ID)}
	for _, m := range p.sealed {
		if m.err == nil && m.status.Position.Precedes(own.Position) {
			g.Attached++
		}
	}
	return g.Want()
}

// leased says that the lease is over. It is asked right before each command to another's Redis: a process that was frozen goes
// on before its timers do.
func (t Takeover) leased() error {
	if t.Session.Lease.Left(time.Now()) == 0 {
		return lock.ErrLease
	}
	return nil
}

// publish writes us as the master of the next term.
func (t Takeover) publish(ctx context.Context, v lock.View, st redis.Status, guard lock.Setting) (lock.View, error) {
	me := t.Me
	me.RunID, me.Guard, me.MaxLag = st.RunID, guard.Replicas, guard.MaxLag
	write := t.Lock.Write
	if m := v.State.Master; t.Force != nil {
		me.Overrule, write = t.Force.Overrule, t.Lock.Grant
	} else if m != nil && m.RunID == st.RunID {
		me.Overrule = m.Overrule
	}
	s := v.State.Publish(me, st.Position)
	s.Service = t.Service
	if t.Record {
		s = s.Lead()
	}
	return write(ctx, t.Session.ID, v, s)
}

// repoint makes those that we parked follow us, in case their agents are not there to do it.
func (p *passage) repoint(ctx context.Context, s lock.State) {
	own, err := p.Redis.Status(ctx)
	if err != nil || !own.Master {
		return
	}
	p.each(func(m *sealed) {
		if m.err != nil || handlers.MayFollow(m.status, own, s.Overruled(m.ID)) != nil {
			return
		}
		if st, err := m.server.Status(ctx); err == nil && st.Parked() && p.leased() == nil {
			err = m.server.Follow(ctx, s.Master.Address)
			p.Log.Debug("re-pointed", "member", m.ID, "err", err)
		}
	})
	crash.At("repointed")
}

func (p *passage) close() {
	for _, m := range p.sealed {
		m.close()
	}
	p.old.close()
}
