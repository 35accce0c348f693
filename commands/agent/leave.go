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
	// partFor bounds what a leaving agent does before its last calls to Consul, from when it is told to. Nomad kills after 5 s, docker
	// after 10, if it is not told otherwise: partFor + byeFor, and half a second for those who ask by HTTP, are less.
	partFor = 3200 * time.Millisecond
	// leaveFor bounds a handover; what is left of partFor is for the guard of a master that stays.
	leaveFor = 2700 * time.Millisecond
	// answerFor is how soon Consul has to answer for that. One that is away makes leaving shorter, not longer.
	answerFor = time.Second
	// settleFor bounds the wait until a successor has made our Redis its replica.
	settleFor = time.Second
	// stayFor bounds the time in which the guard is taken off a master that stays.
	stayFor = 2 * time.Second
	// byeFor is what the last calls to Consul have, which are made at once, and what is left of partFor with it.
	byeFor = 1200 * time.Millisecond
)

// parting is a context for what is done before this agent has left, which it outlives by no more than that.
func (a *Agent) parting(ctx context.Context) (context.Context, context.CancelFunc) {
	told := time.Now()
	if t := a.told.Load(); t != nil {
		told = *t
	}
	end := told.Add(partFor)
	if least := time.Now().Add(callFor); end.Before(least) { // our own Redis, where it answers, needs no more to be left well
		end = least
	}
	return context.WithDeadline(context.WithoutCancel(ctx), end)
}

// bye is how long a last call to Consul may take.
func (a *Agent) bye() time.Duration {
	if t := a.told.Load(); t != nil {
		return max(byeFor, partFor+byeFor-time.Since(*t))
	}
	return byeFor
}

// within is what is left of a context for one call to Consul: never less than a call takes.
func within(ctx context.Context) time.Duration {
	end, ok := ctx.Deadline()
	if !ok {
		return answerFor
	}
	return min(answerFor, max(time.Until(end), callFor))
}

// callFor is what a Consul that answers has for one call, whatever time is left.
const callFor = 200 * time.Millisecond

// leave hands mastership over before the agent goes: the lock is passed to the best replica's agent, which takes over as it
// would from any master that answers. Where nobody can have it our Redis stays writable, and the lock is given back.
//
// An error: the lock was lost before it was passed.
func (a *Agent) leave(ctx context.Context, s *lock.Session, r reign) error {
	ctx, done := a.parting(ctx)
	defer done()
	end, _ := ctx.Deadline()
	hand, cancel := context.WithDeadline(ctx, end.Add(leaveFor-partFor))
	defer cancel()
	crash.At("leaving")
	away := a.away(ctx)
	if k := a.board.Get(); away == nil && k.paused {
		a.Log.Warn("mastership is not handed over: the cluster is " + k.view.Pause.String())
		a.stay(ctx, s, nil)
		a.release(ctx, within(ctx), s.ID, lock.WhyLeaving, "the agent leaves")
		return nil
	}
	if away != nil {
		a.Log.Warn("mastership is not handed over: consul does not answer", "err", away)
		a.stay(ctx, s, away)
		return nil
	}
	to, err := a.handOver(hand, s, r)
	switch {
	case err == nil && to != "":
		crash.At("handed")
		a.Log.Info("mastership is handed over", "to", to)
		return nil
	case errors.Is(err, errNotOurs):
		return err
	case err != nil:
		a.Log.Warn("mastership could not be handed over", "to", to, "err", err)
		away := err
		if !errors.Is(err, errAway) {
			away = a.away(ctx)
		}
		if away != nil { // by now: do not stay for it
			a.stay(ctx, s, away)
			return nil
		}
	default:
		a.Log.Warn("nobody can be handed mastership; redis stays a master", "redis", a.Redis.Addr())
	}
	a.stay(ctx, s, nil)
	a.release(ctx, within(ctx), s.ID, cause(a.board.Get()), "the agent leaves")
	crash.At("released")
	return nil
}

var errAway = errors.New("consul does not answer any more")

// away is why Consul does not answer, although it is asked again: an error that comes at once may be an election of its own.
func (a *Agent) away(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, answerFor)
	defer cancel()
	for {
		_, err := a.Lock.Read(ctx)
		if err == nil || ctx.Err() != nil || redis.Refused(err) {
			return err
		}
		select {
		case <-ctx.Done():
		case <-time.After(sessionRetry):
		}
	}
}

// stay takes the guard off a master that is left without an agent, if nobody else has the lock: in Consul first, for a
// challenger counts on what is published. With Consul away, and that is why, the guard stays.
func (a *Agent) stay(ctx context.Context, s *lock.Session, away error) {
	ctx, cancel := context.WithTimeout(ctx, stayFor)
	defer cancel()
	k := a.board.Get()
	st, err := a.Redis.Status(ctx)
	switch {
	case err == nil && !a.burdened(k, st), redis.Refused(err):
		return // there is nothing of ours on it, or it is gone
	case err == nil && away == nil:
		for err = lock.ErrMoved; errors.Is(err, lock.ErrMoved) && ctx.Err() == nil; { // the session may be lost at any moment
			err = a.unguard(ctx, k, s, st.RunID)
		}
	case err == nil:
		err = errors.Join(away, a.unhang(ctx, k, st))
	}
	if err != nil {
		a.keeps(err)
	}
}

// keeps remembers that our Redis may keep a guard of ours: the member's key is to tell the next agent what the operator had.
func (a *Agent) keeps(why error) {
	a.guarded.Store(true)
	a.Log.Error("redis may be left with a guard of ours, or a fence, that nobody lowers until an agent is back", "redis", a.Redis.Addr(), "err", why)
}

// burdened tells whether our Redis has another guard than its operator's.
func (a *Agent) burdened(k known, st redis.Status) bool {
	return k.found.run == st.RunID && (lock.Setting{Replicas: st.MinReplicas, MaxLag: st.MaxLag}) != k.found.Setting
}

func (a *Agent) unguard(ctx context.Context, k known, s *lock.Session, run string) error {
	s, v, end, err := a.retake(ctx, s, run)
	defer end()
	if err != nil {
		return err
	}
	if v, err = a.Lock.Write(ctx, s.ID, v, v.State.Guarded(k.found.Bound())); errors.Is(err, lock.ErrMoved) {
		return err // tried again, before anybody else has the lock
	} else if err == nil {
		err = a.giveBack(ctx, k.found)
	}
	if free := a.Lock.Release(ctx, s.ID, v, lock.WhyLeaving); !errors.Is(free, lock.ErrMoved) { // or it was lost by itself
		err = errors.Join(err, free)
	}
	return err
}

// retake is the lock under our session, where that holds it, or under another, where it is free: ours may have been lost just
// now. It waits for a lock that is held for a session of ours that is no more. What it returns ends the session that it made.
func (a *Agent) retake(ctx context.Context, s *lock.Session, run string) (_ *lock.Session, v lock.View, end func(), err error) {
	end = func() {}
	var fresh *lock.Session
	for {
		v, err = a.Lock.Read(ctx)
		if err == nil && v.Free() && fresh == nil {
			if fresh, err = lock.NewSession(context.WithoutCancel(ctx), a.Lock.Client, lock.SessionOptions{Name: a.Session.Name, TTL: a.Session.TTL}); err == nil {
				end = func() {
					bye, cancel := context.WithTimeout(context.WithoutCancel(ctx), byeFor)
					defer cancel()
					_ = fresh.Destroy(bye)
				}
			}
		}
		if err == nil && v.Free() {
			v, err = a.Lock.Acquire(ctx, fresh.ID, v, v.State)
		}
		m := v.State.Master
		switch {
		case err != nil: // tried again
		case m == nil || m.RunID != run || !v.Free() && v.Holder != a.Me.ID:
			return nil, v, end, fmt.Errorf("the lock is held by %q, who counts on it, or the state names another", v.Holder)
		case fresh != nil && v.Session == fresh.ID:
			return fresh, v, end, nil
		case s != nil && v.Session == s.ID:
			return s, v, end, nil
		}
		select {
		case <-ctx.Done():
			return nil, v, end, errors.Join(ctx.Err(), err)
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
