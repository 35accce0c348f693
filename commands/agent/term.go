package agent

import (
	"context"

	"resec/commands/cluster"
	"resec/commands/failpoint"
)

// holdTerm stays master until the lock is lost, our Redis is no longer the one that was promoted, or the agent leaves.
func (a *Agent) holdTerm(ctx, held context.Context, r cluster.Term) cluster.EndReason {
	for first := true; ; first = false {
		k, changed := a.known.Watch()
		if ctx.Err() != nil { // before we are listed: the old master may be still
			return cluster.EndReason{ShuttingDown: true, Text: "the agent leaves"}
		}
		if e, over := cluster.TermEnded(k.Snapshot, r); over {
			return e
		}
		a.advertise(k, r.Number)
		if first {
			failpoint.Hit("registered")
		}
		select {
		case <-held.Done(): // leaving ends it, too
		case <-changed:
		}
		if held.Err() != nil && ctx.Err() == nil {
			return cluster.EndReason{Text: "the lock is lost"}
		}
	}
}
