package agent

import (
	"context"
	"errors"
	"time"

	"github.com/hashicorp/consul/api"

	"resec/commands/catalog"
	"resec/commands/crash"
	"resec/commands/elect"
	"resec/commands/lock"
)

// lead is the state in which the lock is ours: take over, publish, register, and stay until something ends it. An
// error is logged already.
func (a *Agent) lead(ctx context.Context, k known) error {
	held, release := a.hold(ctx, k.session.ID)
	defer release()
	began := time.Now()
	trace := elect.NewTrace()
	demotion := elect.NewDemotion(func(ctx context.Context) (api.TxnOps, error) {
		return a.Registrar.Naming.Demotions(ctx, a.Lock.Client, a.Me.Node, a.Me.ServiceID)
	})
	v, finish, err := a.takeOver(held, k, trace, demotion)
	a.aside.Go(finish) // not waited for here: what looks at another's Redis may take until that does not answer
	switch {
	case errors.Is(err, elect.ErrYielded):
		a.wrote(v)
		return nil
	case errors.Is(err, errNotOurs):
		return nil
	case err != nil:
		if ctx.Err() == nil && a.fails == 0 {
			a.Log.Error("the promotion failed; the lock is given back", "err", err)
		}
		release() // who watches the old master has to park our Redis again, also where Consul hangs
		a.release(ctx, lock.CallTimeout, k.session.ID, lock.WhyFailed, err.Error())
		a.glance()
		return err
	}
	a.term = v.State.Term()
	r := reign{id: a.Me.ID, session: k.session.ID, index: v.Index, term: v.State.Term(), run: v.State.Master.RunID, since: time.Now()}
	a.Log.Info("promoted", "redis", a.Redis.Addr(), "term", r.term, "took", r.since.Sub(began).Round(time.Millisecond))
	a.wrote(v)
	a.account(ctx, k, v, began, trace.Steps())
	a.vacant = vacancy{} // the next one begins as this reign ends
	a.board.Learn(func(k *known) { k.led = true })
	a.glance()
	lost := make(chan struct{})
	a.aside.Go(func() { a.keepGuard(held, r, lost) })
	a.aside.Go(func() { a.watchReplicas(held, lost) })
	a.aside.Go(func() { a.keepOut(held) })
	a.aside.Go(func() { a.keepRequests(held, r) })
	a.aside.Go(func() { a.keepUnique(held, r) })
	if !demotion.Done {
		if err := a.Registrar.Naming.Demote(held, a.Lock.Client, a.Me.Node, a.Me.ServiceID); err != nil && held.Err() == nil {
			a.Log.Warn("old master entries stay in the catalogue", "err", err)
		}
	}
	crash.At("demoted")
	a.aside.Go(func() { a.keepRecord(held, r) }) // who is not listed while entries change their service has not left
	why := a.rule(ctx, held, r)
	release()
	a.end(ctx, k.session, r, why)
	return nil
}

// errNotOurs is returned when the view was late, and the lock is not ours.
var errNotOurs = errors.New("the lock is not ours")

// takeOver makes our Redis the master, unless it goes on to be.
func (a *Agent) takeOver(ctx context.Context, k known, trace *elect.Trace, demotion *elect.Demotion) (lock.View, func(), error) {
	crash.At("elected")
	if resumes(k, a.Me.ID) {
		return k.view, func() {}, nil
	}
	taken := a.acquired
	if a.acquired = (acquired{}); k.view.LockIndex != taken.index {
		if taken.since = time.Now(); k.missing.run != "" && !k.missing.since.IsZero() && k.view.State.Master != nil && k.missing.run == k.view.State.Master.RunID {
			taken.since = k.missing.since
		}
		// The view may be old, and the lock another's by now, who is the master then.
		v, err := a.Lock.Read(ctx)
		if err != nil {
			return k.view, func() {}, err
		}
		if a.see(v); v.Session != k.session.ID {
			return v, func() {}, errNotOurs
		}
		k.view = v
	}
	a.term = max(a.term, k.view.State.Term())
	me := a.Me
	me.Term = a.term
	t := elect.Takeover{Lock: a.Lock, Session: k.session, Me: me, Redis: a.Redis, Creds: a.Creds, Log: a.Log,
		Service: a.Registrar.Naming.Name(catalog.Master), Record: true, Others: others(k.view, a.Me.ID), Void: a.stillVoid(k),
		Guard: a.Guard, Own: k.found.Setting, Trace: trace, Demotion: demotion, Vigil: a.bereft.vigil, Passed: a.passed, Slow: taken.since.Add(a.grace())}
	if m := k.view.State.Master; m != nil {
		t.Hangs, t.Passing = a.hangs(m), a.passing.stands(m.RunID)
	}
	if k.missing.silent {
		t.Mute = k.missing.run
	}
	_, t.Beside = attached(k.health.Status, k.view, a.Me.ID, a.linked.has, a.Guard)
	switch r := k.view.Request; {
	case !r.Stands() || r.To != a.Me.ID:
	case r.Planned:
		t.Plan = r
	default:
		t.Force = r
	}
	if k.view.State.Master == nil { // the state may have been deleted, and we were started since
		entries, err := a.Registrar.Naming.Instances(ctx, a.Lock.Client)
		if err != nil {
			return k.view, func() {}, err
		}
		if t.Listed, err = a.listedMaster(k.view, entries); err != nil {
			return k.view, func() {}, err
		}
		if t.Listed != nil {
			t.Me.Term = max(t.Me.Term, t.Listed.Term)
		}
	}
	v, finish, err := t.Run(ctx, k.view)
	if err == nil {
		a.passed = false
		a.Metrics.Promoted()
		a.toldPromoted(v, k.view)
	}
	return v, finish, err
}

// stillVoid asks again whether the record binds nobody.
func (a *Agent) stillVoid(k known) func(context.Context, lock.State) error {
	return func(ctx context.Context, s lock.State) error {
		k.view.State = s // it knows of histories that began as we caught up
		cs, _, err := a.ask(ctx, k)
		if err != nil {
			return err
		}
		binds := a.binds(cs, s)
		for _, c := range cs {
			if why := c.Unfit(s, binds); c.ID == a.Me.ID && why != "" {
				return errors.New(why)
			}
		}
		return nil
	}
}

// end is done when a reign is over.
func (a *Agent) end(ctx context.Context, s *lock.Session, r reign, why end) {
	a.Log.Warn("no longer master", "term", r.term, "why", why)
	switch {
	case why.park:
		if err := a.Redis.Park(ctx); err != nil {
			a.Log.Error("the new redis could not be parked", "err", err)
		}
		a.glance()
	case why.release == lock.WhyFrozen:
		crash.At("frozen")
		if err := a.testament.Execute(ctx); err != nil {
			a.Log.Error("redis is frozen, and fence and park could not be sent to it", "err", err)
			why.release = lock.WhyUnhealthy
		} else {
			a.Log.Warn("redis is frozen: fence and park wait in its socket")
			a.toldFenced(r.term, why.text)
		}
		crash.At("blind")
	case why.release == "" && !why.again && a.Guard.Replicas == lock.GuardOff && !a.board.Get().view.Free() && !a.board.Get().paused: // the lease was all there is
		if err := a.Redis.Fence(ctx); err != nil {
			a.Log.Error("the lock is lost, and redis could not be fenced", "err", err)
		} else {
			a.toldFenced(r.term, why.text)
		}
	}
	switch {
	case why.again: // the lock stays ours
	case why.leave:
		_ = a.leave(ctx, s, r) // a lock that was lost is taken again when all is restored
	case why.release == "":
		poke(a.doubt) // the session may be what was lost
	default:
		a.release(ctx, lock.CallTimeout, s.ID, why.release, why.text)
	}
}

// pass hands the lock to the member that an operator wants.
func (a *Agent) pass(ctx context.Context, k known) error {
	v, err := a.Lock.Pass(ctx, k.session.ID, k.view, k.view.Request.To, k.view.State)
	if err != nil {
		a.Log.Warn("the lock could not be passed", "err", err)
		return err
	}
	a.passed = true
	a.Log.Warn("the lock is passed, as an operator wants", "to", k.view.Request.To)
	a.wrote(v)
	return nil
}

// resumes tells whether the reign is our predecessor's, and goes on as it is, in the same term.
func resumes(k known, id string) bool {
	return k.adopted == k.session.ID && !k.view.Recalled && k.view.Request == nil && k.view.State.Why == "" && k.view.State.Master != nil && incumbent(k, id)
}

// incumbent tells whether our Redis is the published master, and accepts writes.
func incumbent(k known, id string) bool {
	m, st := k.view.State.Master, k.health.Status
	return m != nil && m.ID == id && m.RunID == st.RunID && st.Master && !st.Fenced()
}

// release gives the lock back. Why a holder gave it up counts where that was published: others that failed to take over
// say nothing of the master.
func (a *Agent) release(ctx context.Context, within time.Duration, session, why, text string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), within)
	defer cancel()
	if v := a.board.Get().view; v.Session == session && v.State.Master != nil && v.State.Master.ID == a.Me.ID && !v.Request.Stands() &&
		a.Lock.Resign(ctx, session, v, why) == nil { // what we know is mostly the newest, and to ask first would double the time
		a.Log.Info("the lock is given back", "why", text)
		if v, err := a.Lock.Read(ctx); err == nil { // or the watch shows it
			a.see(v)
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
	if r := v.Request; err == nil && r.Stands() && r.To == a.Me.ID { // what an operator wants cannot be: others shall not wait for it
		r.Answer = text
		err = a.Lock.Reply(ctx, *r)
	}
	if err != nil {
		a.Log.Warn("the lock is left to the session's end", "err", err)
		return
	}
	a.see(v)
}
