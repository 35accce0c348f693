package agent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"resec/commands/cluster"
	"resec/commands/failpoint"
	"resec/commands/lock"
	"resec/commands/takeover"
	"resec/handlers/redis"
)

// minHandover is what a successor needs that does something: less is no time to pass the lock for.
const minHandover = 500 * time.Millisecond

// successorActTimeout is how long a successor may hold the lock and not publish itself: it may wait for our last bytes for ReachFor. In
// takeFor, the last of leaveFor, the lock is not passed, but taken again. actFor + takeFor < leaveFor.
const successorActTimeout, reclaimReserve = takeover.DrainTimeout + 200*time.Millisecond, 400 * time.Millisecond

// handOver passes the lock to the member that lacks least, and waits until that, or whoever has it then, is published. From one
// that gives it back, for it is told to leave, too, or that does nothing with it, it takes it again, and tries the next. It
// returns who that is; nobody and no error where there is none to pass it to.
func (a *Agent) handOver(ctx context.Context, s *lock.Session, r cluster.Term) (to string, err error) {
	tried := map[string]bool{}
	var holder string // the session that was passed the lock, or got it since
	var late time.Time
	end, _ := ctx.Deadline()
	for passed := false; ; {
		k, changed := a.known.Watch()
		if k.View.Session != holder {
			holder, late = k.View.Session, time.Now().Add(min(successorActTimeout, max(minHandover, time.Until(end)-reclaimReserve)))
		}
		switch m := k.View.State.Master; {
		case m != nil && m.ID != a.Me.ID && m.Term > r.Number && (k.View.Free() || m.ID == k.View.Holder):
			return m.ID, nil
		case k.View.Session == s.ID && !passed:
			if redis.Refused(k.Health.Err) || time.Until(end) < reclaimReserve+minHandover { // of a dead one the freshest finds out by himself
				return "", nil
			}
			if to, passed, err = a.transferToNext(ctx, k, s, tried); err != nil || to == "" {
				return to, err
			}
			continue
		case !passed && k.View.Index != 0 && k.View.Free():
			return "", errNotOurs
		case passed && k.View.Index != 0 && (k.View.Free() || k.View.Session == s.ID || time.Now().After(late) && a.redisUntouched(ctx, k, s)):
			term, err := a.reclaim(ctx, k, s)
			if err == nil {
				a.Log.Warn("the lock was given back, or taken from one that did nothing with it, and is ours again", "holder", k.View.Holder, "term", term)
				passed, r.Number = false, term
				continue
			} else if errors.Is(err, takeover.ErrYielded) {
				continue
			} else if !errors.Is(err, lock.ErrChanged) && !errors.Is(err, errNotOurs) {
				return to, err
			}
		}
		look := minStepRetry
		if d := time.Until(late); d > 0 {
			look = min(look, d)
		}
		select {
		case <-ctx.Done():
			return to, errors.New("the successor has not published itself")
		case <-changed:
		case <-time.After(look): // a change of the session alone is no news
			if away := a.consulError(ctx); away != nil {
				return to, fmt.Errorf("%w: %w", errConsulDown, away)
			}
		}
	}
}

// transferToNext passes the lock to the next one that was not tried; where it has moved meanwhile it only takes in how it is now.
func (a *Agent) transferToNext(ctx context.Context, k snapshot, s *lock.Session, tried map[string]bool) (to string, passed bool, err error) {
	soon, cancel := context.WithTimeout(ctx, consulProbeTimeout)
	defer cancel()
	if to, err = a.successor(soon, k, tried); err != nil || to == "" {
		return to, false, err
	}
	state := k.View.State
	state.Why = cluster.WhyLeaving
	v, err := a.Lock.Transfer(soon, s.ID, k.View, to, state)
	switch {
	case err == nil:
		failpoint.Hit("passed")
		a.Log.Info("the lock is passed", "to", to)
		passed, tried[to] = true, true
	case !errors.Is(err, lock.ErrChanged):
		return to, false, err
	default:
		if away := a.consulError(ctx); away != nil {
			return to, false, fmt.Errorf("%w: %w", errConsulDown, away)
		}
		if v, err = a.Lock.Read(ctx); err != nil {
			return to, false, err
		}
	}
	a.observeView(v)
	return to, passed, nil
}

// redisUntouched tells whether the lock may be taken from a successor that has it: our Redis is as we left it, and so is our session. One
// that has fenced or parked our Redis is at work, and may go on with that, whoever has the lock by then.
func (a *Agent) redisUntouched(ctx context.Context, k snapshot, s *lock.Session) bool {
	if k.session == nil || k.session.ID != s.ID {
		return false
	}
	st, err := a.Redis.Status(ctx)
	return err == nil && st.Master && !st.Fenced()
}

// reclaim makes our Redis the master again, whatever a successor that gave up has done to it, and returns the new term. One that
// has the lock yet loses it: it lets no write in before it has published itself under that.
func (a *Agent) reclaim(ctx context.Context, k snapshot, s *lock.Session) (term uint64, err error) {
	k.session, a.handedOff = s, true
	if k.View.Session != s.ID {
		take := a.Lock.Preempt
		if k.View.Free() {
			take = a.Lock.Acquire
		}
		if k.View, err = take(ctx, s.ID, k.View, k.View.State); err != nil {
			return 0, err
		}
		a.setWritten(k.View)
		a.won = wonLock{k.View.LockIndex, time.Now()}
	}
	v, finish, err := a.takeOver(ctx, k, takeover.NewTimeline(), nil)
	a.background.Go(finish)
	a.setWritten(v)
	return v.State.Term(), err
}

// successor is the member that a master that leaves is to pass the lock to; empty: there is none that was not tried.
func (a *Agent) successor(ctx context.Context, k snapshot, tried map[string]bool) (string, error) {
	cs, _, err := a.surveyAndNote(ctx, k)
	if err != nil {
		return "", err
	}
	return cluster.Successor(cs, k.Snapshot, a.Me, tried), nil
}
