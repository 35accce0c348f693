package agent

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"sync"

	"resec/commands/elect"
	"resec/commands/lock"
	"resec/handlers"
	"resec/handlers/redis"
)

// ask looks at every member's Redis at once, listed or not, and at the one that ours follows: Consul may have lost
// everything. It looks at ours no earlier: offsets move while a master lives.
//
// It names apart who is silent and may be the freshest: recorded as level, with an agent that lives.
func (a *Agent) ask(ctx context.Context, k known) (cs []lock.Candidate, silent []string, err error) {
	entries, err := a.Registrar.Naming.Instances(ctx, a.Lock.Client)
	if err != nil {
		return nil, nil, err
	}
	members := lock.Members(entries, k.view)
	own := k.health.Status
	if of := own.Of; !own.Master && of != redis.Sink && !slices.ContainsFunc(members, func(m lock.Member) bool { return m.Address == of }) {
		members = append(members, lock.Member{ID: of, Address: of, Check: lock.Unregistered})
	}
	members = slices.DeleteFunc(members, func(m lock.Member) bool { return m.ID == a.Me.ID })
	out, mute := make([]*lock.Candidate, len(members)), make([]bool, len(members))
	var wg sync.WaitGroup
	for i, m := range members {
		wg.Go(func() {
			given := k.view.State.GivenUp(m.ID)
			st, err := a.peek(ctx, m.Address, given)
			if err == nil && !k.view.Knows(m.ID, st) {
				err = errStranger
			}
			if err != nil {
				a.Log.Debug("no candidate", "member", m.ID, "err", err)
				r, recorded := k.view.State.Record[m.ID]
				mute[i] = redis.Silent(err) && recorded && !r.Joining && k.view.Members[m.ID].Session != "" && !given
				return
			}
			out[i] = &lock.Candidate{ID: m.ID, Tended: m.Tended(), Listed: m.Listed(), Status: st}
		})
	}
	st, err := a.Redis.Status(ctx)
	wg.Wait()
	if err == nil { // or else the watch on it will say so; the others go first
		cs = append(cs, lock.Candidate{ID: a.Me.ID, Tended: true, Listed: true, Status: st})
	}
	for i, m := range members {
		if out[i] != nil {
			cs = append(cs, *out[i])
		} else if mute[i] {
			silent = append(silent, m.ID)
		}
	}
	return cs, silent, nil
}

var errStranger = errors.New("another redis answers at its address")

// peek asks another's Redis, once and not for long; one that its own agent has given up not longer than for a moment.
func (a *Agent) peek(ctx context.Context, addr string, given bool) (redis.Status, error) {
	opt := a.Creds
	if opt.Addr, opt.Timeout = addr, min(askFor, opt.Timeout); given {
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
