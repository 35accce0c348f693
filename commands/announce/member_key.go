package announce

import (
	"context"
	"errors"
	"time"

	"resec/commands/catalog"
	"resec/commands/cluster"
	"resec/commands/failpoint"
	"resec/commands/known"
	"resec/commands/lock"
	"resec/commands/logonce"
	"resec/commands/observable"
)

// rewriteAfter is how long a view may take to show what we wrote. No index says whether it should: Consul's index falls when
// Consul has lost its data.
const rewriteAfter = time.Second

// KeepMemberKey writes in Consul, under our session, which instance of Redis this agent manages, and its address. The master's
// agent learns from it which member to record. A holder learns to which session the lock can be transferred. The key also keeps
// what the operator had set before we changed anything, for the next agent of this member.
func (a *Announcer) KeepMemberKey(ctx context.Context) {
	var written cluster.MemberKey
	var at time.Time
	var failure, streamErrors logonce.Once
	ours := false // the key is, or may be, in Consul
	defer func() {
		shown := a.Known.Load().View.LiveAgents[a.Me.ID].Session
		anothers := shown != "" && shown != written.Session // see KeepUnique
		if ours && !anothers && !a.GuardLeftBehind() {      // with a guard of ours the next agent needs what the operator had
			a.deleteMemberKey(ctx)
		}
	}()
	for ctx.Err() == nil {
		k, changed := a.Known.Watch()
		if own := k.Operator.Discover(k.Snapshot, a.Me.ID); own != k.Operator {
			a.Known.Update(func(now *known.Snapshot) {
				key := k.View.LiveAgents[a.Me.ID]
				now.Restarts = now.Restarts.Observe(k.Operator.RunID, own.RunID, key, time.Now())
				now.Operator = own
				now.AdoptKey(key)
			})
			a.warnUnlessParked(k, own)
			continue
		}
		var again <-chan time.Time
		want, shown := cluster.OwnMemberKey(k.Snapshot, a.Me), k.View.LiveAgents[a.Me.ID]
		a.warnOfStreamErrors(want, &streamErrors)
		if want.Session != "" && shown.Session == want.Session { // our predecessor's, whose session we have adopted
			ours, written.Session = true, want.Session
		}
		if want.Session != "" && k.Fresh && shown != want {
			if want != written || time.Since(at) >= rewriteAfter {
				written, at, ours = want, time.Now(), true
				a.writeMemberKey(ctx, want, &failure)
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

// warnUnlessParked warns once of each run of Redis that came up in another way than parked. A run that our predecessor has warned
// of is in the member key. Under another cluster's lock key the agent ends with one line, and warns of nothing.
func (a *Announcer) warnUnlessParked(k known.Snapshot, own cluster.OperatorSettings) {
	foreign := k.View.Err != nil || k.View.CheckService(a.Registrar.Naming.Name(catalog.Master)) != nil
	if own.StartedAs == "" || foreign || k.View.LiveAgents[a.Me.ID].RunID == own.RunID {
		return
	}
	if own.StartedAs.Master() {
		a.Log.Warn("redis came up as a master, not parked", "event", "started_as_master", "redis", a.Creds.Addr,
			"run_id", own.RunID, "why", own.StartedAs.Warning())
		return
	}
	a.Log.Warn("redis came up as a replica, not parked", "event", "started_as_replica", "redis", a.Creds.Addr,
		"run_id", own.RunID, "why", own.StartedAs.Warning())
}

// warnOfStreamErrors warns once of a replica that begins to answer its master's stream with errors.
func (a *Announcer) warnOfStreamErrors(key cluster.MemberKey, logged *logonce.Once) {
	if key.StreamErrors.Count == 0 {
		if key.RunID != "" {
			logged.Reset()
		}
		return
	}
	if logged.Changed(key.RunID) {
		a.Log.Warn("redis answers its master's stream with errors; it is not elected, and does not count for the guard",
			"event", "stream_errors", "redis", a.Creds.Addr, "why", cluster.StreamErrorsReason(key.StreamErrors.Count))
	}
}

// writeMemberKey writes the key, and logs each kind of failure once. A lost session is logged by its keeper.
func (a *Announcer) writeMemberKey(ctx context.Context, key cluster.MemberKey, failure *logonce.Once) {
	err := a.Lock.PutMember(context.WithoutCancel(ctx), key)
	if err == nil {
		failure.Reset()
		failpoint.Hit("joined")
		return
	}
	observable.Signal(a.Verify) // the session may be lost
	if !errors.Is(err, lock.ErrChanged) && failure.Changed(lock.ErrorKind(err)) {
		a.Log.Warn("cannot write the member key, retrying; this member is neither recorded nor elected until it is written",
			"event", "member_key_failed", "member", a.Me.ID, "err", err)
	}
}

func (a *Announcer) deleteMemberKey(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), a.FinalCallTimeout())
	defer cancel()
	if err := a.Lock.DeleteMember(ctx, a.Me.ID); err != nil {
		a.Log.Warn("cannot delete the member key; it stays without a session, and shows that no agent is alive",
			"event", "member_key_left", "member", a.Me.ID, "err", err)
	}
}
