package agent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"resec/commands/crash"
	"resec/commands/lock"
	"resec/handlers/redis"
)

const (
	// leaveFor bounds a handover. Nomad kills after 5 s, docker after 10, if it is not told otherwise.
	leaveFor = 4 * time.Second
	// settleFor bounds the wait until a successor has made our Redis its replica.
	settleFor = time.Second
	// stayFor bounds the time in which the guard is taken off a master that stays.
	stayFor = 2 * time.Second
)

// leave hands mastership over before the agent goes: the lock is passed to the best replica's agent, which takes over as it
// would from any master that answers. Where nobody can have it our Redis stays writable, and the lock is given back.
func (a *Agent) leave(ctx context.Context, session string, r reign) {
	ctx = context.WithoutCancel(ctx)
	hand, cancel := context.WithTimeout(ctx, leaveFor)
	defer cancel()
	crash.At("leaving")
	to, err := a.handOver(hand, session, r)
	switch {
	case err == nil && to != "":
		crash.At("handed")
		a.Log.Info("mastership is handed over", "to", to)
		return
	case err != nil:
		a.Log.Warn("mastership could not be handed over", "to", to, "err", err)
	default:
		a.Log.Warn("nobody can be handed mastership; redis stays a master", "redis", a.Redis.Addr())
	}
	a.stay(ctx)
	a.release(ctx, session, cause(a.board.Get()), "the agent leaves")
	crash.At("released")
}

// stay takes the guard off a master that is left without an agent, if nobody else has the lock: in Consul first, for a
// challenger counts on what is published.
func (a *Agent) stay(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, stayFor)
	defer cancel()
	k := a.board.Get()
	st, err := a.Redis.Status(ctx)
	if err != nil || k.found.run != st.RunID || (lock.Setting{Replicas: st.MinReplicas, MaxLag: st.MaxLag}) == k.found.Setting {
		return // it is gone, or there is nothing of ours on it
	}
	err = a.unguard(ctx, k, st.RunID)
	if err != nil {
		a.guarded.Store(true)
		a.Log.Error("redis stays a master, with a guard that nobody lowers", "redis", a.Redis.Addr(), "min_replicas", st.MinReplicas, "err", err)
	}
}

// unguard does so under our session, if that holds the lock, or under another, where the lock is free: ours may have been lost
// just now. It waits for a lock that is held for a session of ours that is no more.
func (a *Agent) unguard(ctx context.Context, k known, run string) error {
	var session, made string
	if k.session != nil {
		session = k.session.ID
	}
	for {
		v, err := a.Lock.Read(ctx)
		if err == nil && v.Free() && made == "" {
			var s *lock.Session
			if s, err = lock.NewSession(ctx, a.Lock.Client, lock.SessionOptions{Name: a.Session.Name, TTL: a.Session.TTL}); err == nil {
				defer func() { _ = s.Destroy(context.WithoutCancel(ctx)) }()
				session, made = s.ID, s.ID
			}
		}
		if err == nil && v.Free() {
			v, err = a.Lock.Acquire(ctx, session, v, v.State)
		}
		switch m := v.State.Master; {
		case err != nil && !errors.Is(err, lock.ErrMoved):
			return err
		case m == nil || m.RunID != run || !v.Free() && v.Holder != a.Me.ID:
			return fmt.Errorf("whoever has the lock, now %s, counts on it", v.Holder)
		case err == nil && v.Session == session:
			if v, err = a.Lock.Write(ctx, session, v, v.State.Guarded(k.found.Bound())); err == nil {
				err = a.giveBack(ctx, k.found)
			}
			return errors.Join(err, a.Lock.Release(ctx, session, v, lock.WhyLeaving))
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(sessionRetry):
		}
	}
}

// cause says why a leaving agent gives the lock back.
func cause(k known) string {
	if redis.Refused(k.health.Err) {
		return lock.WhyDead
	}
	return lock.WhyLeaving
}

// handOver passes the lock to the member that lacks least, and waits until that, or whoever has it then, is published. It
// returns who that is; nobody and no error where there is none to pass it to.
func (a *Agent) handOver(ctx context.Context, session string, r reign) (to string, err error) {
	for passed := false; ; {
		k, changed := a.board.Wait()
		switch m := k.view.State.Master; {
		case k.view.Holder != a.Me.ID && m != nil && m.ID == k.view.Holder && m.Term > r.term:
			return m.ID, nil
		case k.view.Session == session && !passed:
			if redis.Refused(k.health.Err) { // whoever is the freshest now finds out by himself
				return "", nil
			}
			if to, err = a.successor(ctx, k); err != nil || to == "" {
				return to, err
			}
			s := k.view.State
			s.Why = lock.WhyLeaving
			v, err := a.Lock.Pass(ctx, session, k.view, to, s)
			if err != nil && !errors.Is(err, lock.ErrMoved) {
				return to, err
			} else if err == nil {
				crash.At("passed")
				a.Log.Info("the lock is passed", "to", to)
				passed = true
			} else if v, err = a.Lock.Read(ctx); err != nil {
				return to, err
			}
			a.take(v, func(known uint64) bool { return v.Index >= known })
			continue
		}
		select {
		case <-ctx.Done():
			return to, errors.New("the successor has not published itself")
		case <-changed:
		case <-time.After(retryAfter): // a change of the session alone is no news
		}
	}
}

// successor is the member that a master that leaves is to pass the lock to; empty: there is none.
func (a *Agent) successor(ctx context.Context, k known) (string, error) {
	cs, _, err := a.ask(ctx, k)
	if err != nil {
		return "", err
	}
	return successor(cs, k, a.Me), nil
}

func successor(cs []lock.Candidate, k known, me lock.Master) string {
	for _, c := range lock.Rank(cs, k.view.State, lock.Bound) {
		if c.ID != me.ID && k.view.Members[c.ID].Session != "" && c.Linked() && c.Of == me.Address {
			return c.ID
		}
	}
	return ""
}

// restore leaves our Redis as its operator had it: without a fence or a guard of ours. Of a master that nobody elected only
// a replica of nobody is left.
func (a *Agent) restore(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, leaveFor)
	defer cancel()
	k := a.board.Get()
	st, err := a.settled(ctx, k)
	if err != nil || k.found.run != st.RunID {
		return // it is gone, or a new one: there is nothing of ours on it
	}
	if m := k.view.State.Master; st.Master && m != nil && m.RunID == st.RunID {
		a.stay(ctx) // told to leave when it was about to be let go, or had just lost the lock
		return
	}
	if st.Master && st.Fenced() {
		if err := a.Redis.Park(ctx); err != nil {
			a.Log.Error("redis stays a fenced master", "redis", a.Redis.Addr(), "err", err)
			return
		}
	}
	if (lock.Setting{Replicas: st.MinReplicas, MaxLag: st.MaxLag}) != k.found.Setting && (!st.Master || st.Fenced()) {
		_ = a.giveBack(ctx, k.found) // it has said so
	}
	crash.At("restored")
}

// settled is our Redis once a successor has made it a replica, or when that has taken too long.
func (a *Agent) settled(ctx context.Context, k known) (redis.Status, error) {
	end := time.Now().Add(settleFor)
	for {
		st, err := a.Redis.Status(ctx)
		m := k.view.State.Master
		handed := m != nil && m.ID != a.Me.ID && k.view.Holder == m.ID
		if err != nil || !handed || !st.Master && st.Of == m.Address && !st.Fenced() || time.Now().After(end) {
			return st, err
		}
		select {
		case <-ctx.Done():
			return st, ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// giveBack sets what the operator had.
func (a *Agent) giveBack(ctx context.Context, o found) error {
	err := a.Redis.SetGuard(ctx, o.Replicas, o.MaxLag)
	if err != nil {
		a.Log.Warn("the operator's own min-replicas settings could not be set", "err", err)
		return err
	}
	a.Log.Info("redis has its operator's own min-replicas settings again", "min_replicas", o.Replicas, "max_lag", o.MaxLag)
	a.glance()
	return nil
}
