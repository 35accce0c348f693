package agent

import (
	"context"
	"errors"
	"time"

	"github.com/hashicorp/consul/api"

	"resec/commands/catalog"
	"resec/commands/cluster"
	"resec/commands/failpoint"
	"resec/commands/lock"
	"resec/commands/takeover"
)

// runTerm is the state in which the lock is ours: take over, publish, register, and stay until something ends it. An
// error is logged already.
func (a *Agent) runTerm(ctx context.Context, k snapshot) error {
	held, release := a.leadershipContext(ctx, k.session.ID)
	defer release()
	began := time.Now()
	trace := takeover.NewTimeline()
	demotion := takeover.NewCatalogDemotion(func(ctx context.Context) (api.TxnOps, error) {
		return a.Registrar.Naming.ReadDemoteOps(ctx, a.Lock.Client, a.Me.Node, a.Me.ServiceID)
	})
	v, finish, err := a.takeOver(held, k, trace, demotion)
	a.background.Go(finish) // not waited for here: what looks at another's Redis may take until that does not answer
	switch {
	case errors.Is(err, takeover.ErrYielded):
		a.setWritten(v)
		return nil
	case errors.Is(err, errNotOurs):
		return nil
	case err != nil:
		if ctx.Err() == nil && a.failures == 0 {
			a.Log.Error("the promotion failed; the lock is given back", "err", err)
		}
		release() // who watches the old master has to park our Redis again, also where Consul hangs
		a.release(ctx, lock.CallTimeout, k.session.ID, cluster.WhyFailed, err.Error())
		a.probeSoon()
		return err
	}
	a.highestTerm = v.State.Term()
	r := leaderTerm{id: a.Me.ID, session: k.session.ID, index: v.Index, term: v.State.Term(), run: v.State.Master.RunID, since: time.Now()}
	a.Log.Info("promoted", "redis", a.Redis.Addr(), "term", r.term, "took", r.since.Sub(began).Round(time.Millisecond))
	a.setWritten(v)
	a.recordTakeover(ctx, k, v, began, trace.Steps())
	a.leaderless = leaderless{} // the next one begins as this reign ends
	a.known.Update(func(k *snapshot) { k.hasLed = true })
	a.probeSoon()
	lost := make(chan struct{})
	a.background.Go(func() { a.keepGuard(held, r, lost) })
	a.background.Go(func() { a.watchReplicas(held, lost) })
	a.background.Go(func() { a.watchUnknownReplicas(held) })
	a.background.Go(func() { a.keepRequests(held, r) })
	a.background.Go(func() { a.watchStaleMasters(held, r) })
	if !demotion.Applied {
		if err := a.Registrar.Naming.Demote(held, a.Lock.Client, a.Me.Node, a.Me.ServiceID); err != nil && held.Err() == nil {
			a.Log.Warn("old master entries stay in the catalogue", "err", err)
		}
	}
	failpoint.Hit("demoted")
	a.background.Go(func() { a.keepMembers(held, r) }) // who is not listed while entries change their service has not left
	why := a.holdTerm(ctx, held, r)
	release()
	a.finishTerm(ctx, k.session, r, why)
	return nil
}

// errNotOurs is returned when the view was late, and the lock is not ours.
var errNotOurs = errors.New("the lock is not ours")

// takeOver makes our Redis the master, unless it goes on to be.
func (a *Agent) takeOver(ctx context.Context, k snapshot, trace *takeover.Timeline, demotion *takeover.CatalogDemotion) (cluster.View, func(), error) {
	failpoint.Hit("elected")
	if resumesTerm(k, a.Me.ID) {
		return k.view, func() {}, nil
	}
	taken := a.won
	if a.won = (wonLock{}); k.view.LockIndex != taken.index {
		if taken.leaderlessSince = time.Now(); k.failure.run != "" && !k.failure.since.IsZero() && k.view.State.Master != nil && k.failure.run == k.view.State.Master.RunID {
			taken.leaderlessSince = k.failure.since
		}
		// The view may be old, and the lock another's by now, who is the master then.
		v, err := a.Lock.Read(ctx)
		if err != nil {
			return k.view, func() {}, err
		}
		if a.observeView(v); v.Session != k.session.ID {
			return v, func() {}, errNotOurs
		}
		k.view = v
	}
	a.highestTerm = max(a.highestTerm, k.view.State.Term())
	me := a.Me
	me.Term = a.highestTerm
	t := takeover.Takeover{Lock: a.Lock, Session: k.session, Log: a.Log, Timeline: trace, CatalogDemotion: demotion,
		Self: takeover.Self{Me: me, Service: a.Registrar.Naming.Name(catalog.Master), Redis: a.Redis, Creds: a.Creds,
			Guard: a.Guard, OperatorGuard: k.operator.MinReplicas, HandedOff: a.handedOff},
		Peers: takeover.Peers{KeepMembers: true, Recorded: recordedPeers(k.view, a.Me.ID), ConfirmEligible: a.confirmEligible(k),
			WaitForSlowUntil: taken.leaderlessSince.Add(a.slowMemberGrace())},
		Evidence: takeover.Evidence{Detached: a.evidence.detached}}
	if m := k.view.State.Master; m != nil {
		t.Evidence.StallAllowance, t.Evidence.MasterCheckPassing = a.stallAllowance(m), a.masterCheck.isFresh(m.RunID)
	}
	if k.failure.unreachable {
		t.Evidence.UnresponsiveRun = k.failure.run
	}
	_, t.Self.UncountedReplicas = countReplicas(k.health.Status, k.view, a.Me.ID, a.links.has, a.Guard)
	switch r := k.view.Request; {
	case !r.Active() || r.To != a.Me.ID:
	case r.Planned:
		t.Operator.Switchover = r
	default:
		t.Operator.ForcedFailover = r
	}
	if k.view.State.Master == nil { // the state may have been deleted, and we were started since
		entries, err := a.Registrar.Naming.Instances(ctx, a.Lock.Client)
		if err != nil {
			return k.view, func() {}, err
		}
		if t.Evidence.CatalogMaster, err = a.listedMaster(k.view, entries); err != nil {
			return k.view, func() {}, err
		}
		if t.Evidence.CatalogMaster != nil {
			t.Self.Me.Term = max(t.Self.Me.Term, t.Evidence.CatalogMaster.Term)
		}
	}
	done, err := t.Run(ctx, k.view)
	if err == nil {
		a.handedOff = false
		a.Metrics.Promoted()
		a.notifyPromoted(done.View, k.view)
	}
	return done.View, done.Wait, err
}

// confirmEligible asks again whether the record binds nobody.
func (a *Agent) confirmEligible(k snapshot) func(context.Context, cluster.State) error {
	return func(ctx context.Context, s cluster.State) error {
		k.view.State = s // it knows of histories that began as we caught up
		cs, _, err := a.surveyAndNote(ctx, k)
		if err != nil {
			return err
		}
		binds := a.eligibility(cs, s)
		for _, c := range cs {
			if why := c.IneligibleReason(s, binds); c.ID == a.Me.ID && why != "" {
				return errors.New(why)
			}
		}
		return nil
	}
}

// finishTerm is done when a reign is over.
func (a *Agent) finishTerm(ctx context.Context, s *lock.Session, r leaderTerm, why endReason) {
	a.Log.Warn("no longer master", "term", r.term, "why", why)
	switch {
	case why.parkRedis:
		if err := a.Redis.Park(ctx); err != nil {
			a.Log.Error("the new redis could not be parked", "err", err)
		}
		a.probeSoon()
	case why.release == cluster.WhyFrozen:
		failpoint.Hit("frozen")
		if err := a.emergencyFence.Send(ctx); err != nil {
			a.Log.Error("redis is frozen, and fence and park could not be sent to it", "err", err)
			why.release = cluster.WhyUnhealthy
		} else {
			a.Log.Warn("redis is frozen: fence and park wait in its socket")
			a.notifyFenced(r.term, why.text)
		}
		failpoint.Hit("blind")
	case why.release == "" && !why.keepLock && a.Guard.Replicas == cluster.GuardOff && !a.known.Load().view.Free() && !a.known.Load().paused: // the lease was all there is
		if err := a.Redis.Fence(ctx); err != nil {
			a.Log.Error("the lock is lost, and redis could not be fenced", "err", err)
		} else {
			a.notifyFenced(r.term, why.text)
		}
	}
	switch {
	case why.keepLock: // the lock stays ours
	case why.shuttingDown:
		_ = a.handOverAndRelease(ctx, s, r) // a lock that was lost is taken again when all is restored
	case why.release == "":
		signal(a.verifySession) // the session may be what was lost
	default:
		a.release(ctx, lock.CallTimeout, s.ID, why.release, why.text)
	}
}

// transferLock hands the lock to the member that an operator wants.
func (a *Agent) transferLock(ctx context.Context, k snapshot) error {
	v, err := a.Lock.Transfer(ctx, k.session.ID, k.view, k.view.Request.To, k.view.State)
	if err != nil {
		a.Log.Warn("the lock could not be passed", "err", err)
		return err
	}
	a.handedOff = true
	a.Log.Warn("the lock is passed, as an operator wants", "to", k.view.Request.To)
	a.setWritten(v)
	return nil
}

// resumesTerm tells whether the reign is our predecessor's, and goes on as it is, in the same term.
func resumesTerm(k snapshot, id string) bool {
	return k.adopted == k.session.ID && !k.view.FromLastKnown && k.view.Request == nil && k.view.State.Why == "" && k.view.State.Master != nil && isServingMaster(k, id)
}

// isServingMaster tells whether our Redis is the published master, and accepts writes.
func isServingMaster(k snapshot, id string) bool {
	m, st := k.view.State.Master, k.health.Status
	return m != nil && m.ID == id && m.RunID == st.RunID && st.Master && !st.Fenced()
}

// release gives the lock back. Why a holder gave it up counts where that was published: others that failed to take over
// say nothing of the master.
func (a *Agent) release(ctx context.Context, within time.Duration, session, why, text string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), within)
	defer cancel()
	if v := a.known.Load().view; v.Session == session && v.State.Master != nil && v.State.Master.ID == a.Me.ID && !v.Request.Active() &&
		a.Lock.ReleaseWithReason(ctx, session, v, why) == nil { // what we know is mostly the newest, and to ask first would double the time
		a.Log.Info("the lock is given back", "why", text)
		if v, err := a.Lock.Read(ctx); err == nil { // or the watch shows it
			a.observeView(v)
		}
		return
	}
	v, err := a.Lock.Read(ctx)
	if err == nil && v.Session == session {
		if m := v.State.Master; m == nil || m.ID != a.Me.ID {
			why = v.State.Why
		}
		if err = a.Lock.Release(ctx, session, v, why); err == nil {
			a.Log.Info("the lock is given back", "why", text)
			v, err = a.Lock.Read(ctx)
		}
	}
	if r := v.Request; err == nil && r.Active() && r.To == a.Me.ID { // what an operator wants cannot be: others shall not wait for it
		r.Answer = text
		err = a.Lock.AnswerRequest(ctx, *r)
	}
	if err != nil {
		a.Log.Warn("the lock is left to the session's end", "err", err)
		return
	}
	a.observeView(v)
}
