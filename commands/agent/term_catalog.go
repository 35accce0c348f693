package agent

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/hashicorp/consul/api"

	"resec/commands/catalog"
	"resec/commands/cluster"
	"resec/commands/lock"
	"resec/commands/logonce"
	"resec/commands/watch"
	"resec/handlers"
)

// readDemotions reads what turns other members' master entries in the catalogue into replica entries.
func (t *leaderTerm) readDemotions(ctx context.Context) (api.TxnOps, error) {
	me := t.a.known.Load().Announced(t.a.Me)
	return t.a.Registrar.Naming.ReadDemoteOps(ctx, t.a.Lock.Client, me.Node, me.ServiceID)
}

// demoteListed turns other members' master entries into replica entries, if the publishing transaction did not.
func (t *leaderTerm) demoteListed(ctx context.Context) {
	me := t.a.known.Load().Announced(t.a.Me)
	err := t.a.Registrar.Naming.Demote(ctx, t.a.Lock.Client, me.Node, me.ServiceID)
	if err != nil && ctx.Err() == nil {
		t.a.Log.Warn("old master entries stay in the catalogue for now; the watch on it demotes those that pass their check",
			"event", "demotion_failed", "err", err)
	}
}

// watchStaleMasters demotes other members that the catalogue lists as master, for as long as the term lasts. The previous
// master's entry was demoted in the publishing transaction. The Consul agent of its node may send the old entry again when it
// syncs. A dead resec does not correct it.
func (t *leaderTerm) watchStaleMasters(ctx context.Context) {
	var elsewhere logonce.Once
	params := map[string]any{"type": "service", "service": t.a.masterService(), "passingonly": true}
	err := watch.Run(ctx, t.a.Lock.Client, params, func(_ uint64, answer any) {
		entries, err := catalog.Entries(answer)
		if err != nil {
			t.a.Log.Error("cannot read the master service's entries; stale ones are not demoted",
				"event", "stale_masters_unreadable", "err", err)
			return
		}
		t.warnOfOtherLock(entries, &elsewhere)
		t.demoteUntilDone(ctx, entries)
	}, func(error) {}) // the watch on the lock logs an outage
	if err != nil && ctx.Err() == nil {
		t.a.Log.Error("cannot watch the master service; stale master entries are not demoted", "event", "stale_masters_unwatched",
			"err", err)
	}
}

// warnOfOtherLock logs once that a live agent that is not under this lock lists another master under our service's name. Its
// entry is left alone: which of the two is right only an operator knows.
func (t *leaderTerm) warnOfOtherLock(entries []handlers.Entry, logged *logonce.Once) {
	ids := cluster.MastersElsewhere(entries, t.a.known.Load().View, t.a.Me.ID)
	if len(ids) == 0 {
		logged.Reset()
	} else if logged.Changed(strings.Join(ids, ", ")) {
		t.a.Log.Error("another master is listed by an agent that is not under this lock, so two accept writes; the members of one "+
			"cluster have the same CONSUL_LOCK_KEY, and two clusters have two service names", "event", "master_elsewhere",
			"members", strings.Join(ids, ", "), "key", t.a.Lock.Key)
	}
}

// demoteUntilDone demotes stale entries, again and again until Consul has done it or denies it.
func (t *leaderTerm) demoteUntilDone(ctx context.Context, entries []handlers.Entry) {
	for logged := false; ctx.Err() == nil; {
		if t.a.known.Load().View.WentBack { // Consul shows the lock as another session's until it is taken back
			sleep(ctx, finalCallRetry)
			continue
		}
		err := t.demoteStale(ctx, entries)
		if err == nil || errors.Is(err, lock.ErrDenied) && logged || ctx.Err() != nil {
			return
		}
		if !logged {
			logged = true
			t.a.Log.Warn("cannot demote a stale master entry in the catalogue, retrying", "event", "stale_master_failed",
				"err", err)
		}
		sleep(ctx, minStepRetry)
	}
}

// demoteStale demotes those of the cluster's members that are listed as the master of an earlier term.
func (t *leaderTerm) demoteStale(ctx context.Context, entries []handlers.Entry) (err error) {
	k := t.a.known.Load()
	v, me := k.View, k.Announced(t.a.Me)
	stale := slices.DeleteFunc(slices.Clone(entries), func(e handlers.Entry) bool {
		_, recorded := v.State.Members[e.ID()]
		_, alive := v.LiveAgents[e.ID()]
		return e.Term() >= t.term.Number || !recorded && !alive
	})
	for _, op := range t.a.Registrar.Naming.DemoteOps(stale, me.Node, me.ServiceID) {
		e := t.a.Lock.TxnIfHeld(ctx, t.term.Session, op)
		if errors.Is(e, lock.ErrChanged) { // the lock has changed, or the entry: then another answer of the watch follows
			continue
		}
		if e == nil {
			t.a.Log.Warn("a previous master was listed again; its catalogue entry is demoted", "event", "stale_master_demoted",
				"node", op.Service.Node, "service", op.Service.Service.ID)
		}
		err = errors.Join(err, e)
	}
	return err
}
