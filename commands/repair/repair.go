// Package repair writes back what Consul has lost, when it shows older keys than those that this agent has seen: somebody has
// restored a snapshot, or has written an old state by hand.
//
// cluster.LastSeen says what is older, and cluster.RepairOf what this agent does about it. Every agent of a cluster does its part
// at the same moment; each part is one transaction, and the first one is enough. Repairer.Run is the one goroutine.
package repair

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"resec/commands/cluster"
	"resec/commands/known"
	"resec/commands/lock"
	"resec/commands/logonce"
	"resec/commands/observable"
	"resec/commands/pace"
)

const (
	// Grace is how long the agents of the published master and of the lock's holder have to write the state back, before another
	// agent does.
	Grace = pace.CallTimeout
	// retry is the pause after a repair that failed, unless the lock or the state changes before.
	retry = 500 * time.Millisecond
)

// Repairer is one agent's part in a repair. Its fields are set before Run, and not changed afterwards.
type Repairer struct {
	ID     string // of this member
	Lock   lock.Lock
	Known  *known.Value
	TTL    time.Duration      // of the session that holds the lock
	Wrote  func(cluster.View) // takes the view that a write of ours returned
	Verify chan<- struct{}    // wakes the session keeper: our session may be lost
	Done   func()             // Consul shows the newest keys again; what the catalogue shows of us may be as old as they were
	Log    *slog.Logger
}

// Run repairs until the context ends.
func (r *Repairer) Run(ctx context.Context) {
	var since time.Time // when Consul was seen to have gone back; zero: it has not
	var failure logonce.Once
	for ctx.Err() == nil {
		k, changed := r.Known.Watch()
		var again <-chan time.Time
		switch back := k.Fresh && k.View.WentBack; {
		case back && since.IsZero():
			since = time.Now()
			r.Log.Warn("consul went back in time: it shows an older state or pause than before; the newest is written back",
				"event", "consul_went_back", "key", r.Lock.Key, "term_in_consul", k.View.ConsulTerm,
				"newest_term", k.View.State.Term(), "holder", k.View.Holder)
		case k.Fresh && !back && !since.IsZero():
			since = time.Time{}
			failure.Reset()
			r.Done()
		}
		if !since.IsZero() {
			if wait := r.step(ctx, k, time.Since(repairable(since, k)), &failure); wait > 0 {
				again = time.After(wait)
			}
		}
		select {
		case <-ctx.Done():
		case <-changed:
		case <-again:
		}
	}
}

// repairable returns since when any agent could repair what was seen to have gone back at since: not while Consul was away.
func repairable(since time.Time, k known.Snapshot) time.Time {
	if k.ConsulUpSince.After(since) {
		return k.ConsulUpSince
	}
	return since
}

// step does this agent's part, and returns when to look again; 0: on the next change.
func (r *Repairer) step(ctx context.Context, k known.Snapshot, lasted time.Duration, failure *logonce.Once) time.Duration {
	todo := cluster.RepairOf(k.Snapshot, r.ID)
	if todo == cluster.NoRepair {
		return 0
	}
	if grace := r.grace(todo); lasted < grace {
		return grace - lasted
	}
	v, err := r.carryOut(ctx, k, todo)
	if err == nil && todo == cluster.Believe {
		r.Wrote(v)
		r.Log.Warn("the master's agent was restarted and remembers no newer state; what consul shows of this term is believed",
			"event", "consul_term_believed", "key", r.Lock.Key, "term", v.State.Term(), "holder", v.Holder)
		return 0
	}
	if err == nil {
		r.Wrote(v)
		r.Log.Warn("what consul had lost is written back", "event", "consul_repaired", "key", r.Lock.Key,
			"term", v.State.Term(), "holder", v.Holder, "did", todo.String())
		return 0
	}
	if errors.Is(err, lock.ErrChanged) {
		observable.Signal(r.Verify) // our session may be what is lost; otherwise another agent was faster
	} else if ctx.Err() == nil && failure.Changed(lock.ErrorKind(err)) {
		r.Log.Warn("cannot write back what consul has lost, retrying", "event", "consul_repair_failed", "key", r.Lock.Key,
			"err", err)
	}
	return retry
}

// grace is how long Consul has to show older keys before a repair. What the master's agent does not repair is believed later:
// after the time in which Consul ends a session that nobody renews, twice its TTL. A lock that is still held then is held by an
// agent that reaches Consul and knows nothing newer. Before that, the agent may be cut off, with a lower guard than the older
// state has.
func (r *Repairer) grace(todo cluster.Repair) time.Duration {
	switch todo {
	case cluster.WriteBack:
		return Grace
	case cluster.Believe:
		return Grace + 2*r.TTL
	}
	return 0
}

// carryOut makes one repair, and returns the view after it.
func (r *Repairer) carryOut(ctx context.Context, k known.Snapshot, todo cluster.Repair) (cluster.View, error) {
	switch todo {
	case cluster.TakeLockBack:
		return r.Lock.Repair(ctx, k.View, &lock.Holder{Member: r.ID, Session: k.SessionID})
	case cluster.ReturnLock:
		master := k.View.State.Master.ID
		v, err := r.Lock.Repair(ctx, k.View, &lock.Holder{Member: master, Session: k.View.LiveAgents[master].Session})
		if !errors.Is(err, lock.ErrChanged) {
			return v, err
		}
		return r.Lock.Repair(ctx, k.View, &lock.Holder{}) // its session, as Consul shows it, has ended: it takes a free lock
	}
	if todo == cluster.Believe {
		return r.Lock.Believe(ctx, k.View)
	}
	return r.Lock.Repair(ctx, k.View, nil)
}
