package agent

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"resec/commands/elect"
	"resec/commands/lock"
	"resec/handlers"
	"resec/handlers/redis"
)

// ask looks at every member's Redis at once, listed or not, and at the one that ours follows: Consul may have lost
// everything. Whom the lock's keys name is asked while the catalogue is read. It looks at ours no earlier: offsets move while a
// master lives.
//
// It names apart who is silent and may be the freshest: recorded as level, with an agent that lives; and a master that may
// refuse us alone.
func (a *Agent) ask(ctx context.Context, k known) (cs []lock.Candidate, silent []string, err error) {
	return a.survey(ctx, k, func(m lock.Member, st redis.Status, err error, at time.Time) {
		a.bereft.note(m.ID, k.view.State.Master, st, err, at)
		if master := k.view.State.Master; master != nil && master.ID == m.ID && m.Check == "passing" {
			a.passing = passing{master.RunID, time.Now()}
		}
	})
}

// survey asks, and has each answer noted, with when it came.
func (a *Agent) survey(ctx context.Context, k known, note func(m lock.Member, st redis.Status, err error, at time.Time)) (cs []lock.Candidate, silent []string, err error) {
	type answer struct {
		st  redis.Status
		err error
		at  time.Time
	}
	said := map[lock.Member]*answer{} // by id and address
	var wg sync.WaitGroup
	look := func(members []lock.Member) {
		for _, m := range members {
			who, is := lock.Member{ID: m.ID, Address: m.Address}, &answer{}
			if said[who] != nil {
				continue
			}
			said[who] = is
			wg.Go(func() {
				is.st, is.err = a.peek(ctx, m.Address, k.hopeless(m.ID))
				if is.at = time.Now(); is.err == nil && !k.view.Knows(m.ID, is.st) {
					is.err = elect.ErrStranger
				}
			})
		}
	}
	look(a.around(k, nil))
	var entries []handlers.Entry
	if !k.suffices(a.Me.ID) {
		entries, err = a.Registrar.Naming.Instances(ctx, a.Lock.Client)
	}
	members := a.around(k, entries)
	look(members)
	own, ownErr := a.Redis.Status(ctx)
	at := time.Now()
	wg.Wait()
	if ctx.Err() != nil { // what was cut short says nothing of anybody
		return nil, nil, context.Cause(ctx)
	}
	if err == nil && entries == nil && ownErr == nil && own.RunID != k.health.Status.RunID { // then it may not suffice
		err = errors.New("our redis was restarted while others were asked")
	}
	if err != nil {
		return nil, nil, err
	}
	note(lock.Member{ID: a.Me.ID, Check: lock.Unregistered}, own, ownErr, at)
	if ownErr == nil { // or else the watch on it will say so; the others go first
		cs = append(cs, lock.Candidate{ID: a.Me.ID, Tended: true, Listed: true, Status: own})
	}
	for _, m := range members {
		is := said[lock.Member{ID: m.ID, Address: m.Address}]
		note(m, is.st, is.err, is.at)
		if is.err == nil {
			cs = append(cs, lock.Candidate{ID: m.ID, Tended: m.Tended(), Listed: m.Listed(), Status: is.st})
			continue
		}
		a.Log.Debug("no candidate", "member", m.ID, "err", is.err)
		if redis.Silent(is.err) && !elect.Gone(is.err) && k.view.Awaited(m.ID) || redis.Refused(is.err) && rejects(k.view, m) {
			silent = append(silent, m.ID)
		}
	}
	return cs, silent, nil
}

// suffices tells whether nothing of the catalogue counts: the master's own agent has given it up, and our Redis is recorded, so
// that nobody leads who is not. Three calls are most of what a failover takes.
func (k known) suffices(id string) bool {
	s := k.view.State
	return s.Master != nil && s.Master.ID != id && s.GivenUp(s.Master.ID) && s.Bar(id, k.health.Status.RunID) == ""
}

// passing is a published master's run whose entry in the catalogue passed its check: clients are sent to its address.
type passing struct {
	run string
	at  time.Time
}

// stands tells whether that was so just now.
func (p passing) stands(run string) bool { return p.run == run && time.Since(p.at) < 2*time.Second }

// rejects tells whether a master that refuses us may live, and the network be what rejects: the lock is free without a word, and
// its agent, which would say that it is dead, still passes its check.
func rejects(v lock.View, m lock.Member) bool {
	return v.Free() && v.State.Why == "" && v.State.Master != nil && v.State.Master.ID == m.ID && m.Listed() && m.Tended()
}

// around are all other members that are known of, and whom our Redis follows.
func (a *Agent) around(k known, entries []handlers.Entry) []lock.Member {
	members := lock.Members(entries, k.view)
	own := k.health.Status
	if of := own.Of; !own.Master && of != redis.Sink && !slices.ContainsFunc(members, func(m lock.Member) bool { return m.Address == of }) {
		members = append(members, lock.Member{ID: of, Address: of, Check: lock.Unregistered})
	}
	return slices.DeleteFunc(members, func(m lock.Member) bool { return m.ID == a.Me.ID })
}

// hopeless tells whether a member is the master, and known not to answer: to its own agent, or to the watch on it.
func (k known) hopeless(id string) bool {
	s := k.view.State
	return s.GivenUp(id) || s.Master != nil && s.Master.ID == id && k.missing.silent && k.missing.run == s.Master.RunID
}

// peek asks another's Redis, once and not for long; one that is not expected to answer not longer than for a moment.
func (a *Agent) peek(ctx context.Context, addr string, hopeless bool) (redis.Status, error) {
	opt := a.Creds
	if opt.Addr, opt.Timeout = addr, min(askFor, opt.Timeout); hopeless {
		opt.Timeout = elect.Brief
	}
	return handlers.Ask(ctx, opt)
}

// others are the recorded members that a take-over parks.
func others(v lock.View, me string) (out []elect.Other) {
	for _, id := range slices.Sorted(maps.Keys(v.State.Record)) {
		r, p := v.State.Record[id], v.Members[id]
		if id == me {
			continue
		}
		out = append(out, elect.Other{ID: id, Address: cmp.Or(p.Address, r.Address), Session: p.Session})
	}
	return out
}
