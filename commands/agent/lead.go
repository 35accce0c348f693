package agent

import (
	"context"
	"time"

	"resec/commands/catalog"
	"resec/commands/elect"
	"resec/commands/lock"
	"resec/handlers/redis"
)

// lead is the state in which the lock is ours: take over, publish, register, and stay until something ends it. An
// error is logged already.
func (a *Agent) lead(ctx context.Context, k known) error {
	session := k.session
	held, lose := context.WithCancelCause(ctx)
	defer lose(nil)
	a.board.Learn(func(k *known) { k.lose = lose })
	defer a.board.Learn(func(k *known) { k.lose = nil })
	t := elect.Takeover{Lock: a.Lock, Session: session, Lease: a.Lease, Me: a.Me, Redis: a.Redis, Creds: a.Creds, Log: a.Log,
		Service: a.Registrar.Naming.Name(catalog.Master)}
	began := time.Now()
	v, err := k.view, error(nil)
	if !resumes(k, a.Me.ID) {
		v, err = t.Run(held, k.view)
	}
	if err != nil {
		if ctx.Err() == nil {
			a.Log.Error("the promotion failed; the lock is given back", "err", err)
		}
		a.release(ctx, session, lock.WhyFailed, err.Error())
		a.glance()
		return err
	}
	term, run := v.State.Term(), v.State.Master.RunID
	a.Log.Info("promoted", "redis", a.Redis.Addr(), "term", term, "took", time.Since(began).Round(time.Millisecond))
	if err := a.Registrar.Naming.Evict(held, a.Lock.Client, a.Me.ID); err != nil && ctx.Err() == nil {
		a.Log.Warn("old master entries are left in the catalogue", "err", err)
	}
	a.see(v)
	a.glance()
	why := a.reign(ctx, session, run, v.Index, term)
	a.Log.Warn("no longer master", "term", term, "why", why)
	if why.release != "" {
		a.release(ctx, session, why.release, why.text)
	}
	return nil
}

// resumes tells whether the reign is our predecessor's, and goes on as it is, in the same term.
func resumes(k known, id string) bool {
	m, st := k.view.State.Master, k.health.Status
	return k.adopted == k.session && m != nil && m.ID == id && m.RunID == st.RunID && st.Master && !st.Fenced()
}

// end is why a reign is over; release says what is written with the lock's release, nothing where it is lost already.
type end struct{ release, text string }

func (e end) String() string { return e.text }

// reign stays master until the lock is lost, our Redis is no longer the one that was promoted, or the agent leaves.
func (a *Agent) reign(ctx context.Context, session, run string, index, term uint64) end {
	for {
		k := a.board.Get()
		if e, over := over(k, session, run, index); over {
			return e
		}
		a.publish(k, term)
		select {
		case <-ctx.Done():
			return end{lock.WhyLeaving, "the agent leaves"}
		case <-a.board.Changed():
		}
	}
}

// over decides whether a reign is. A view older than the reign does not show it.
func over(k known, session, run string, index uint64) (end, bool) {
	switch h := k.health; {
	case k.view.Index > index && k.view.Session == "":
		return end{"", "the lock is lost, and free"}, true
	case k.view.Index >= index && k.view.Session != session:
		return end{"", "the lock is held by " + k.view.Holder}, true
	case redis.Refused(h.Err):
		return end{lock.WhyDead, "redis is gone"}, true
	case h.Err != nil:
		return end{lock.WhyUnhealthy, "redis is unusable: " + h.Err.Error()}, true
	case h.Status.RunID != run:
		return end{lock.WhyDead, "redis was restarted: it is a new one"}, true
	}
	return end{}, false
}

// release gives the lock back.
func (a *Agent) release(ctx context.Context, session, why, text string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lock.CallTimeout)
	defer cancel()
	v, err := a.Lock.Read(ctx)
	if err == nil && v.Session == session {
		if err = a.Lock.Release(ctx, session, v, why); err == nil {
			a.Log.Info("the lock is given back", "why", text)
			v, err = a.Lock.Read(ctx)
		}
	}
	if err != nil {
		a.Log.Warn("the lock is left to the session's end", "err", err)
		return
	}
	a.see(v)
}
