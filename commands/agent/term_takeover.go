package agent

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/hashicorp/consul/api"

	"resec/commands/catalog"
	"resec/commands/cluster"
	"resec/commands/contend"
	"resec/commands/failpoint"
	"resec/commands/known"
	"resec/commands/lock"
	"resec/commands/takeover"
	"resec/handlers"
)

// takeOver makes our Redis the master, unless it resumes the term of this agent's predecessor. It returns nil if no takeover
// was begun, and lock.ErrNotHolder if the lock is not ours.
func (t *leaderTerm) takeOver(ctx context.Context, k known.Snapshot, won *contend.Won, timeline *takeover.Timeline,
	demotion *takeover.CatalogDemotion) (*takeover.Done, error) {
	failpoint.Hit("elected")
	if cluster.ResumesTerm(k.Snapshot, t.a.Me.ID) {
		return takeover.NotNeeded(k.View), nil
	}
	if won == nil || won.LockIndex != k.View.LockIndex {
		v, err := t.readWonLock(ctx)
		if err != nil {
			return nil, err
		}
		k.View, won = v, &contend.Won{LockIndex: v.LockIndex, LeaderlessSince: failingSince(k)}
	}
	t.c.contender.HighestTerm = max(t.c.contender.HighestTerm, k.View.State.Term())
	options, err := t.options(ctx, k, won)
	if err != nil {
		return nil, err
	}
	options.Timeline, options.CatalogDemotion = timeline, demotion
	done, err := options.Run(ctx, k.View)
	if err == nil {
		t.c.handedOff = false
		t.a.Metrics.Promoted()
		t.a.notifyPromoted(done.View, k.View)
	}
	return done, err
}

// readWonLock reads the lock, which was won without contending: it was transferred to us, or is our predecessor's. The known
// view may be old, and the lock another member's by now, which is the master then: lock.ErrNotHolder.
func (t *leaderTerm) readWonLock(ctx context.Context) (cluster.View, error) {
	v, err := t.a.observer.Read(ctx)
	if err != nil {
		return v, err
	}
	if v.Session != t.session.ID {
		return v, lock.ErrNotHolder
	}
	return v, nil
}

// failingSince is since when the published master is known to fail; otherwise it is now.
func failingSince(k known.Snapshot) time.Time {
	if m := k.View.State.Master; m != nil && k.Failure.RunID == m.RunID && !k.Failure.Since.IsZero() {
		return k.Failure.Since
	}
	return time.Now()
}

// options are what the takeover needs to know.
func (t *leaderTerm) options(ctx context.Context, k known.Snapshot, won *contend.Won) (takeover.Takeover, error) {
	a, c, master := t.a, &t.c.contender, k.View.State.Master
	me := k.Announced(a.Me)
	me.Term = c.HighestTerm
	o := takeover.Takeover{Lock: a.Lock, Session: t.session, Log: a.Log,
		Self: takeover.Self{Me: me, Service: a.masterService(), Redis: beating{a.local.ForTakeover(), &a.decided}, Creds: a.Creds,
			Guard: a.Guard, OperatorGuard: k.Operator.MinReplicas, HandedOff: t.c.handedOff,
			OperatorKnown: k.Operator.RunID == k.Health.Status.RunID},
		Peers: takeover.Peers{KeepMembers: true, Recorded: recordedPeers(k.View, a.Me.ID), ConfirmEligible: c.ConfirmEligible(k),
			WaitForSlowUntil: won.LeaderlessSince.Add(c.SlowMemberGrace()), FailedSources: t.c.failedSources},
		Evidence: takeover.Evidence{Detached: c.Detached(), ReadCatalog: a.readCatalog},
		Operator: takeover.OperatorWish(k.View.Request, a.Me.ID)}
	_, o.Self.UncountedReplicas = cluster.CountReplicas(k.Health.Status, k.View, a.Me.ID, a.links.streams, a.Guard)
	if master != nil {
		o.Evidence.StallAllowance, o.Evidence.MasterCheckPassing = c.StallAllowance(master), c.MasterCheckPassing(master.RunID)
	}
	if k.Failure.Unreachable {
		o.Evidence.UnresponsiveRun = k.Failure.RunID
	}
	if master != nil {
		return o, nil
	}
	// The state may have been deleted, and this agent started since.
	entries, err := a.readCatalog(ctx)
	if err != nil {
		return o, err
	}
	o.Evidence.FollowsUnnamed = cluster.FollowsUnnamed(k.View, k.Health.Status, cluster.Members(entries, k.View))
	if o.Evidence.CatalogMaster, err = a.catalogMaster(k.View, entries); err != nil {
		return o, err
	}
	if m := o.Evidence.CatalogMaster; m != nil {
		o.Self.Me.Term = max(o.Self.Me.Term, m.Term)
	}
	return o, nil
}

func (a *Agent) readCatalog(ctx context.Context) ([]handlers.Entry, error) {
	return a.Registrar.Naming.Instances(ctx, a.Lock.Client)
}

// catalogMaster is another member that the catalogue calls the master; nil: there is none. It returns an error if that member's
// agent is alive and not under this lock: it is another cluster's, or has not written its member key yet.
func (a *Agent) catalogMaster(v cluster.View, entries []handlers.Entry) (*cluster.Master, error) {
	entries = slices.DeleteFunc(entries, func(e handlers.Entry) bool {
		return e.ID() == "" || e.ID() == a.Me.ID || !a.Registrar.Naming.Matches(e, catalog.Master)
	})
	e, found := handlers.MasterOf(entries, "")
	if !found {
		return nil, nil
	}
	if e.AgentStatus() != api.HealthCritical && v.LiveAgents[e.ID()].Session == "" {
		return nil, fmt.Errorf("%s is listed as master by a live agent that is not under this lock: "+
			"two clusters need two service names", e.ID())
	}
	return &cluster.Master{Peer: handlers.Peer{ID: e.ID(), Address: e.Addr(), Term: e.Term()}, Node: e.Node.Node}, nil
}

// recordTakeover counts the steps of a takeover, and appends a change of mastership to the history. The next leaderless period
// begins as this term ends.
func (t *leaderTerm) recordTakeover(ctx context.Context, before known.Snapshot, after cluster.View, began time.Time,
	steps []cluster.Step) {
	last := time.Duration(0)
	for _, s := range steps {
		t.a.Metrics.Step(s.Name, s.At-last)
		last = s.At
	}
	since := t.c.contender.Leaderless.Since
	t.c.contender.Leaderless = cluster.Leaderless{}
	if m := before.View.State.Master; m != nil && before.Failure.RunID == m.RunID && !before.Failure.Since.IsZero() {
		if since.IsZero() || before.Failure.Since.Before(since) {
			since = before.Failure.Since // long before the lock was free, if its agent died, too
		}
	}
	if c, moved := takeover.MastershipChange(before.Snapshot, after, since, began, time.Now(), steps); moved {
		t.c.background.Go(func() { t.appendHistory(ctx, c) })
	}
}

// appendHistory writes a change of mastership to the history.
func (t *leaderTerm) appendHistory(ctx context.Context, c cluster.Change) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), finalCallTimeout) // the agent may be about to stop
	defer cancel()
	if err := t.a.Lock.AppendHistory(ctx, c); err != nil {
		t.a.Log.Warn("cannot write the history of masters; this change is missing from it", "event", "history_failed", "err", err)
	}
}

// recordedPeers are the recorded members that a takeover parks.
func recordedPeers(v cluster.View, me string) (out []takeover.RecordedPeer) {
	for _, id := range slices.Sorted(maps.Keys(v.State.Members)) {
		r, p := v.State.Members[id], v.LiveAgents[id]
		if id != me {
			out = append(out, takeover.RecordedPeer{ID: id, Address: cmp.Or(p.Address, r.Address), Session: p.Session})
		}
	}
	return out
}
