package agent

import (
	"cmp"
	"context"
	"errors"
	"time"

	"resec/commands/lock"
)

// keepSession has a session while our Redis is healthy and our check, to which the session is bound, is in Consul.
// A member that waits has one too, so that a free lock is taken in one call.
func (a *Agent) keepSession(ctx context.Context) {
	said, lost, wait := "", "", minSessionRetry
	for ctx.Err() == nil {
		k, changed := a.known.Watch()
		var retry <-chan time.Time
		if k.Registered && k.Probed && k.Health.Err == nil {
			s, err := a.session(ctx, k, lost)
			if err == nil {
				said, wait = "", minSessionRetry
				lost = a.underSession(ctx, s)
				continue
			}
			if ctx.Err() == nil && err.Error() != said {
				a.Log.Warn("there is no session yet; trying on", "err", err)
				said = err.Error()
			}
			retry, wait = time.After(wait), min(2*wait, time.Second)
			changed = nil
		}
		select {
		case <-ctx.Done():
		case <-retry:
		case <-changed:
		}
	}
}

// session makes a session, or takes over the one that our predecessor left: that which holds our member's key, and the
// lock where it was elected. One that holds the lock for another run of Redis is ended.
func (a *Agent) session(ctx context.Context, k snapshot, lost string) (*lock.Session, error) {
	m, v := k.View.State.Master, k.View
	prior, holds := v.LiveAgents[a.Me.ID].Session, !v.Free() && v.Holder == a.Me.ID
	if holds {
		prior = v.Session
	}
	switch prior {
	case "":
		if v.Index == 0 {
			return nil, errors.New("the lock has not been read yet")
		}
		return lock.NewSession(context.WithoutCancel(ctx), a.Lock.Client, a.Session) // or one may be left that nobody knows
	case lost:
		var err error
		if v, err = a.Lock.Read(ctx); err != nil {
			return nil, err
		}
		if a.observeView(v); v.Session != lost && v.LiveAgents[a.Me.ID].Session != lost {
			return nil, errors.New("the watch still shows the session that was lost")
		}
		m, holds = v.State.Master, v.Session == lost
		a.Log.Warn("the session that was lost is there: consul's server had not read its own log yet", "session", lost)
	}
	if why := cmp.Or(a.duplicateMember(ctx), a.idInUse(ctx, m, k.Health.Status.RunID)); why != "" {
		return nil, errors.New(why)
	}
	s := lock.Adopt(a.Lock.Client, prior, a.Session)
	if holds && prior != lost && (m == nil || m.ID != a.Me.ID || m.RunID != k.Health.Status.RunID) {
		if err := s.Destroy(ctx); err != nil {
			return nil, err
		}
		a.Log.Info("the lock is given back: our predecessor held it for another run of redis", "session", s.ID)
		return lock.NewSession(context.WithoutCancel(ctx), a.Lock.Client, a.Session)
	}
	a.Log.Info("adopted the predecessor's session", "session", s.ID, "lock", holds)
	a.known.Update(func(k *snapshot) { k.Adopted = s.ID })
	signal(a.verifySession)
	return s, nil
}

// minSessionRetry is how soon a session is tried for again, first: it waits for a check to reach Consul's servers. For a
// Consul that is away the pause doubles up to a second.
const minSessionRetry = 100 * time.Millisecond

// underSession renews a session until it is lost, whose id it then returns, or the agent leaves, and destroys it then.
func (a *Agent) underSession(ctx context.Context, s *lock.Session) (lost string) {
	a.known.Update(func(k *snapshot) { k.setSession(s) })
	err := s.Keep(ctx, a.verifySession, a.Log)
	a.known.Update(func(k *snapshot) { k.setSession(nil) })
	if errors.Is(err, lock.ErrSessionLost) {
		a.Log.Warn("the session is lost", "session", s.ID)
		a.revoke(func(held string) bool { return held == s.ID })
		return s.ID
	}
	bye, cancel := context.WithTimeout(context.WithoutCancel(ctx), a.finalCallTimeout())
	defer cancel()
	if err := s.Destroy(bye); err != nil {
		a.Log.Warn("the session is left to its TTL", "session", s.ID, "err", err)
	}
	return ""
}
