package agent

import (
	"context"
	"time"

	"resec/commands/cluster"
	"resec/commands/known"
	"resec/handlers/redis"
)

// releaseCalls is how many calls to Consul a release needs at most, one after the other.
const releaseCalls = 4

// release gives the lock back within a time. Why a holder released it counts only if that holder was published: one that
// failed to take over says nothing of the master. What an operator wants of us cannot be then, and is answered so with text:
// other members must not wait for it.
func (a *Agent) release(ctx context.Context, within time.Duration, session, why, text string) {
	ctx, cancel := a.shutdown.bounded(ctx, within)
	defer cancel()
	v, released, err := a.releaseLock(ctx, session, why)
	if err != nil {
		a.Log.Warn("cannot release the lock; destroying its session, which frees it", "event", "release_failed",
			"key", a.Lock.Key, "err", err)
		a.giveUpSession(session)
		return
	}
	if released {
		a.Log.Info("lock is released", "event", "lock_released", "key", a.Lock.Key, "why", text)
	}
	if r := v.Request; r.Active() && r.To == a.Me.ID {
		r.Answer = text
		if err := a.Lock.AnswerRequest(ctx, *r); err != nil {
			a.Log.Warn("cannot answer an operator's request; it ends with the operator's command", "event", "request_unanswered",
				"to", r.To, "err", err)
		}
	}
}

// giveUpSession makes the session keeper destroy a session. From now on nothing is done with it: if Redis recovers meanwhile, our
// member leads with the next one.
func (a *Agent) giveUpSession(id string) {
	a.known.Update(func(k *known.Snapshot) {
		if k.SessionID == id {
			k.SetSession(nil)
		}
	})
	select {
	case <-a.dropSession: // an older one
	default:
	}
	select {
	case a.dropSession <- id:
	default:
	}
}

// releaseLock releases the lock, unless the session has lost it, and returns the lock as it was last read.
func (a *Agent) releaseLock(ctx context.Context, session, why string) (v cluster.View, released bool, err error) {
	v = a.known.Load().View
	published := v.State.Master != nil && v.State.Master.ID == a.Me.ID
	// The view that we know is mostly the newest, and a read first would double the time.
	if v.Session == session && published && !v.Request.Active() && a.Lock.ReleaseWithReason(ctx, session, v, why) == nil {
		_, _ = a.observer.Read(ctx) // or the watch shows it
		return v, true, nil
	}
	v, err = a.observer.Read(ctx)
	if err != nil || v.Session != session {
		return v, false, err
	}
	if m := v.State.Master; m == nil || m.ID != a.Me.ID {
		why = v.State.Why
	}
	if err := a.Lock.Release(ctx, session, v, why); err != nil {
		return v, false, err
	}
	if now, err := a.observer.Read(ctx); err == nil { // or the watch shows it
		v = now
	}
	return v, true, nil
}

// confirmDeadTimeout bounds the look at the announced address. A failover waits for it if nothing answers or refuses there.
const confirmDeadTimeout = 100 * time.Millisecond

// confirmDead returns why the lock is to be released after our Redis has refused connections at REDIS_ADDR. Other members rely on
// WhyDead, and take over without a proof. So that is returned only if the announced address refuses connections, too, or another
// instance answers there. Silence, denied access and a fault of this host's own prove nothing: our Redis may serve clients there.
func (a *Agent) confirmDead(ctx context.Context, runID string) (release string) {
	addr := a.known.Load().Announced(a.Me).Address
	if addr == a.local.Addr() {
		return cluster.WhyDead
	}
	st, err := a.surveyor.Probe(ctx, addr, confirmDeadTimeout)
	switch {
	case cluster.InstanceDown(redis.Health{Status: st, Err: err}, runID):
		return cluster.WhyDead
	case err != nil:
		a.Log.Warn("redis refuses connections at REDIS_ADDR, and its announced address does not say whether it is down; another "+
			"member takes over once that is proven", "event", "redis_death_unproven", "redis", a.local.Addr(), "addr", addr,
			"why", redis.Summary(err))
	default:
		a.Log.Error("redis refuses connections at REDIS_ADDR, but answers at its announced address; this agent cannot manage it, "+
			"and another member takes over", "event", "redis_addr_refused", "redis", a.local.Addr(), "addr", addr)
	}
	return cluster.WhyUnhealthy
}
