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

// superseded is an old master that no longer accepts writes; the zero value is one that is not there.
type superseded struct {
	server *redis.Server
	addr   string
	run    string
	log    *slog.Logger

	reached        bool // it has answered, and was master
	silent         bool // it has not, and is to be fenced and parked when it does
	foreign        bool // who is there does not let us see who that is
	paused, fenced bool // by us
	parked         bool // by us, or it may be: that is not undone, for whoever has the lock next takes over from there
}

// Brief is how long a master is waited for that is known not to answer, to its own agent or to the watch on it.
const Brief = 50 * time.Millisecond

// anyRun stands for the run of a master that is known by our link to it.
const anyRun = "any"

// supersede ends the published master's reign: nil error means that it accepts no writes.
func (p *passage) supersede(ctx context.Context, v lock.View, own redis.Status) error {
	old := v.State.Master
	if old == nil && !own.Master && !own.Parked() { // Consul has lost its data, and our Redis knows its master still
		old = &lock.Master{Peer: handlers.Peer{ID: own.Of, Address: own.Of, RunID: anyRun}}
	}
	listed := old == nil && p.Listed != nil
	if listed {
		old = p.Listed
	}
	if old == nil || old.RunID == own.RunID {
		return nil
	}
	if old.RunID == "" { // `elect` with a handler whose Redis did not answer to it
		m := *old
		m.RunID = anyRun
		old = &m
	}
	if err := p.overcome(ctx, v, old, own, listed); err != nil {
		return fmt.Errorf("take over from %s at %s: %w", old.ID, old.Address, err)
	}
	return nil
}

// errUnrelated is returned for a master that the catalogue alone names, and whose data have another history than ours: the
// address may be another's by now, or the entry another cluster's.
var errUnrelated = errors.New("its history is not ours, and no state says that it is the cluster's master; `resec failover -to ID -force` overrides")

// overcome asks the old master until it has answered, is known to be gone, or is proven to be closed. listed: nothing but the
// catalogue names it.
func (p *passage) overcome(ctx context.Context, v lock.View, old *lock.Master, own redis.Status, listed bool) (err error) {
	opt, bound := p.Creds, p.patience(v, old)
	opt.Addr = old.Address
	opening, cancel := context.WithTimeout(ctx, bound) // a frozen one lets us connect, and does not greet us
	p.old.server, err = redis.Open(opening, opt)
	mute := opening.Err() // it was silent for all that time
	if cancel(); err != nil {
		return err
	}
	p.old.addr, p.old.run = old.Address, old.RunID
	var proof evidence
	received := follows(own, old)
	for ; ; bound, mute = min(bound, sealFor), nil {
		st, err := redis.Status{}, mute
		if mute == nil {
			st, err = p.look(ctx, bound)
		}
		switch {
		case ctx.Err() != nil: // silence is ours, then
			return context.Cause(ctx)
		case err == nil && st.RunID == own.RunID:
			return nil
		case err == nil && listed && st.Master && p.Force == nil && !own.Position.Precedes(st.Position) && !st.Position.Precedes(own.Position):
			return errUnrelated
		case err == nil && (st.RunID == old.RunID || old.RunID == anyRun) && st.Master:
			p.old.reached, p.old.run = true, st.RunID
			return p.end(ctx, old, own, st)
		case err == nil && st.Master && p.Passing && !v.Knows(old.ID, st): // restarted, and nobody was there to park it
			return p.expel(ctx, old)
		case err == nil: // a replica, or another run: it may still be the freshest
			m := &sealed{Other: Other{ID: old.ID, Address: old.Address, Session: v.Members[old.ID].Session}}
			m.err = p.park(ctx, v, m)
			p.sealed = append(p.sealed, m)
			return nil
		case redis.Refused(err):
			return p.unlinked(ctx, v, old)
		case !redis.Silent(err) && !p.stranger(v, old, received, err): // it lives, and would go on taking writes
			return err
		case p.Plan != nil || v.State.Why == lock.WhyLeaving && v.Members[old.ID].Session != "":
			return fmt.Errorf("it is out of reach from here, and its agent, which lives, has not given it up: %w", err)
		}
		p.old.foreign = redis.Foreign(err)
		if closed, again := p.await(ctx, v, old, &proof); again != nil {
			return again
		} else if closed {
			return nil
		}
		if own, err = p.Redis.Status(ctx); err != nil { // where it answers after all
			return err
		}
	}
}

// patience is how long the old master is waited for at first.
func (p *passage) patience(v lock.View, old *lock.Master) time.Duration {
	switch {
	case v.State.GivenUp(old.ID):
		return Brief
	case p.Mute == old.RunID:
		return sealFor
	}
	return p.Creds.Timeout
}

// look asks the old master.
func (p *passage) look(ctx context.Context, bound time.Duration) (redis.Status, error) {
	ctx, cancel := context.WithTimeout(ctx, bound)
	defer cancel()
	return p.old.server.Status(ctx)
}

// end parks a master that answers, once nothing of it is missing here; an operator's force does not wait for what we were
// not receiving.
func (p *passage) end(ctx context.Context, old *lock.Master, own, st redis.Status) (err error) {
	defer func() {
		if err != nil {
			p.shelter(ctx)
		}
	}()
	if p.Force != nil && !(own.Linked() && own.Position.Lineage == st.Position.Lineage) {
		p.Log.Warn("the old master is parked, by force: what it has is missing here", "master", old.ID, "addr", old.Address)
		if err := p.leased(); err != nil {
			return err
		}
		return p.old.server.Park(ctx)
	}
	if err := p.join(ctx, old, own, st); err != nil {
		return err
	}
	if err := p.drain(ctx, p.old); err != nil {
		return err
	}
	p.Log.Info("the old master is parked, and nothing of it is missing here", "master", old.ID, "addr", old.Address)
	return nil
}
