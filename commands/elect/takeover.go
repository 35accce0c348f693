// Package elect makes one member's Redis the master: it contends for the lock, and takes over in one order whatever
// the cause.
package elect

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

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
	Force  *lock.Request               // an operator wants it, whatever we hold; nil: the protocol decides
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
	binds  lock.Binding // Void: the record does not let us lead, so we were elected because it binds nobody, or keep none
}

// Run ends the published master's reign, promotes, publishes and lets writes in. It returns the view after publishing,
// and what is left to do for the others, which is to be called in any case. On an error the old master is as it was, or
// parked if nothing of it was missing here; ours refuses writes. Whoever has the lock next takes over from there.
func (t Takeover) Run(ctx context.Context, v lock.View) (_ lock.View, finish func(context.Context), err error) {
	p := &passage{Takeover: t, old: &superseded{log: t.Log}}
	own, err := t.Redis.Status(ctx)
	if err != nil {
		return v, p.close, err
	}
	if m := v.State.Master; own.Master && !own.Fenced() && (m == nil || m.RunID == own.RunID) {
		v, err = t.publish(ctx, v, own) // it is the master already, and only the lock or the state was lost: nothing moves
		return v, p.close, err
	}
	// No command to another's Redis once the lease is over.
	leased, cancel := t.Session.Lease.Context(ctx)
	defer cancel()
	if v, err = p.through(leased, v, own); err != nil {
		if mine(leased) {
			p.old.undo(context.WithoutCancel(ctx), t.Session.Lease.Left(time.Now()))
		}
		return v, p.close, err
	}
	return v, func(ctx context.Context) {
		leased, cancel := t.Session.Lease.Context(ctx)
		defer cancel()
		p.repoint(leased, v.State)
		p.close(ctx)
	}, nil
}

// mine tells whether the lock is still ours, so that the old master may be let go: after a loss or the lease's end the next
// holder may count on our fence. The end of this process is no loss.
func mine(ctx context.Context) bool {
	cause := context.Cause(ctx)
	return cause == nil || cause == context.Canceled
}

// through is the one order.
func (p *passage) through(ctx context.Context, v lock.View, own redis.Status) (lock.View, error) {
	bar := v.State.Bar(p.Me.ID, own.RunID)
	if p.Force == nil && (!p.Record || bar != "") {
		p.binds = lock.Void
	}
	p.seal(ctx, v)
	if err := p.supersede(ctx, v, own); err != nil {
		return v, err
	}
	if p.Force == nil {
		var err error
		if v, err = p.freshest(ctx, v); err != nil {
			return v, err
		}
		if p.Record && bar != "" {
			if err := p.Void(ctx); err != nil {
				return v, fmt.Errorf("%s, and the record holds again: %w", bar, err)
			}
		}
	}
	st, err := p.Redis.Promote(ctx)
	if err != nil {
		return v, err
	}
	if v, err = p.publish(ctx, v, st); err != nil {
		return v, err
	}
	_, err = p.Redis.Lift(ctx)
	return v, err
}

// publish writes us as the master of the next term.
func (t Takeover) publish(ctx context.Context, v lock.View, st redis.Status) (lock.View, error) {
	me := t.Me
	me.RunID = st.RunID
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
		if st, err := m.server.Status(ctx); err == nil && st.Parked() {
			err = m.server.Follow(ctx, s.Master.Address)
			p.Log.Debug("re-pointed", "member", m.ID, "err", err)
		}
	})
	p.old.repoint(ctx, s.Master.Address)
}

func (p *passage) close(context.Context) {
	for _, m := range p.sealed {
		m.close()
	}
	p.old.close()
}
