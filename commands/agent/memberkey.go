package agent

import (
	"context"
	"time"

	"resec/commands/cluster"
	"resec/commands/failpoint"
)

// rewriteAfter is how long a view may take to show what we said. No index tells whether it should: Consul's falls when it has
// lost its data.
const rewriteAfter = time.Second

// keepMemberKey says in Consul, under our session, which run of Redis we stand beside and where: so the master's agent
// knows whom to record, and a holder to whom the lock can be passed. With it stands what the operator had set before we
// changed anything, for whoever is this member's agent next.
func (a *Agent) keepMemberKey(ctx context.Context) {
	var said cluster.MemberKey
	var at time.Time
	ours := false // the key, or it may be
	defer func() {
		if !ours || a.guardLeftBehind.Load() { // whoever comes next is to know what the operator had
			return
		}
		bye, cancel := context.WithTimeout(context.WithoutCancel(ctx), a.finalCallTimeout())
		defer cancel()
		if err := a.Lock.DeleteMember(bye, a.Me.ID); err != nil {
			a.Log.Warn("the member's key is left", "err", err)
		}
	}()
	for ctx.Err() == nil {
		k, changed := a.known.Watch()
		if mine := k.Operator.Discover(k.Snapshot, a.Me.ID); mine != k.Operator {
			a.known.Update(func(k *snapshot) { k.Operator = mine })
			continue
		}
		var again <-chan time.Time
		say := cluster.OwnMemberKey(k.Snapshot, a.Me)
		ours = ours || say.Session != "" && k.View.LiveAgents[a.Me.ID].Session == say.Session // our predecessor's, whose session we have
		if say.Session != "" && k.View.Index != 0 && k.View.LiveAgents[a.Me.ID] != say {
			if say != said || time.Since(at) >= rewriteAfter {
				said, at, ours = say, time.Now(), true
				if err := a.Lock.PutMember(context.WithoutCancel(ctx), say); err != nil {
					a.Log.Debug("our presence could not be said", "err", err)
					signal(a.verifySession) // the session may be gone
				} else {
					failpoint.Hit("joined")
				}
			}
			again = time.After(rewriteAfter - time.Since(at))
		}
		select {
		case <-ctx.Done():
		case <-changed:
		case <-again:
		}
	}
}
