package agent

import (
	"context"

	"github.com/hashicorp/consul/api"

	"resec/commands/demote"
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

// watchStaleMasters demotes other members that the catalogue lists as master, for as long as the term lasts.
func (t *leaderTerm) watchStaleMasters(ctx context.Context) {
	w := demote.Watcher{Lock: t.a.Lock, Naming: t.a.Registrar.Naming, Me: t.a.Me, Term: t.term, Known: t.a.known, Log: t.a.Log}
	w.Run(ctx)
}
