// Package demote turns the catalogue's stale master entries into replica entries, for as long as a term lasts.
//
// Watcher.Run is its one goroutine, which a leader's term starts and joins. It owns no state that others read.
package demote

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"time"

	"resec/commands/catalog"
	"resec/commands/cluster"
	"resec/commands/known"
	"resec/commands/lock"
	"resec/commands/logonce"
	"resec/commands/watch"
	"resec/handlers"
)

// Watcher demotes other members that the catalogue lists as master. Its fields are set before Run.
type Watcher struct {
	Lock   lock.Lock
	Naming catalog.Naming
	Me     cluster.Master // as configured
	Term   cluster.Term   // the one that lasts
	Known  *known.Value
	Log    *slog.Logger
}

const (
	failedRetry = 500 * time.Millisecond // the pause after Consul has failed
	backRetry   = 100 * time.Millisecond // the pause while Consul shows an older time
)

// Run demotes until the context ends. The previous master's entry was demoted in the publishing transaction. The Consul agent of
// its node may send the old entry again when it syncs. A dead resec does not correct it.
func (w *Watcher) Run(ctx context.Context) {
	var elsewhere logonce.Once
	params := w.Naming.Watch(catalog.Master)
	params["passingonly"] = true
	err := watch.Run(ctx, w.Lock.Client, params, func(_ uint64, answer any) {
		entries, err := catalog.Entries(answer)
		if err != nil {
			w.Log.Error("cannot read the master service's entries; stale ones are not demoted",
				"event", "stale_masters_unreadable", "err", err)
			return
		}
		w.warnOfOtherLock(entries, &elsewhere)
		w.demoteUntilDone(ctx, entries)
	}, func(error) {}) // the watch on the lock logs an outage
	if err != nil && ctx.Err() == nil {
		w.Log.Error("cannot watch the master service; stale master entries are not demoted", "event", "stale_masters_unwatched",
			"err", err)
	}
}

// warnOfOtherLock logs once that a live agent that is not under this lock lists another master under our service's name. Its
// entry is left alone: which of the two is right only an operator knows.
func (w *Watcher) warnOfOtherLock(entries []handlers.Entry, logged *logonce.Once) {
	ids := cluster.MastersElsewhere(entries, w.Known.Load().View, w.Me.ID)
	if len(ids) == 0 {
		logged.Reset()
	} else if logged.Changed(strings.Join(ids, ", ")) {
		w.Log.Error("a second master is listed by an agent under another lock; members of one cluster need the same "+
			"CONSUL_LOCK_KEY, and two clusters need two service names", "event", "master_elsewhere",
			"members", strings.Join(ids, ", "), "key", w.Lock.Key)
	}
}

// demoteUntilDone demotes stale entries, again and again until Consul has demoted each, or denies it.
func (w *Watcher) demoteUntilDone(ctx context.Context, entries []handlers.Entry) {
	for logged := false; ctx.Err() == nil; {
		if w.Known.Load().View.WentBack { // Consul shows the lock as another session's until it is taken back
			watch.Sleep(ctx, backRetry)
			continue
		}
		denied, failed := w.demoteStale(ctx, entries)
		if err := errors.Join(denied, failed); err != nil && !logged && ctx.Err() == nil {
			logged = true
			w.Log.Warn("cannot demote a stale master entry in the catalogue, retrying", "event", "stale_master_failed",
				"err", err)
		}
		if failed == nil {
			return
		}
		watch.Sleep(ctx, failedRetry)
	}
}

// demoteStale demotes those of the cluster's members that are listed as the master of an earlier term. It returns the errors of
// those that Consul denies, and of those that may be tried again.
func (w *Watcher) demoteStale(ctx context.Context, entries []handlers.Entry) (denied, failed error) {
	k := w.Known.Load()
	v, me := k.View, k.Announced(w.Me)
	stale := slices.DeleteFunc(slices.Clone(entries), func(e handlers.Entry) bool {
		_, recorded := v.State.Members[e.ID()]
		_, alive := v.LiveAgents[e.ID()]
		return e.Term() >= w.Term.Number || !recorded && !alive
	})
	for _, op := range w.Naming.DemoteOps(stale, me.Node, me.ServiceID) {
		switch err := w.Lock.TxnIfHeld(ctx, w.Term.Session, op); {
		case err == nil:
			w.Log.Warn("a previous master was listed again; its catalogue entry is demoted", "event", "stale_master_demoted",
				"node", op.Service.Node, "service", op.Service.Service.ID)
		case errors.Is(err, lock.ErrChanged): // the lock has changed, or the entry: then another answer of the watch follows
		case errors.Is(err, lock.ErrDenied):
			denied = errors.Join(denied, err)
		default:
			failed = errors.Join(failed, err)
		}
	}
	return denied, failed
}
