package agent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"resec/commands/cluster"
	"resec/commands/failpoint"
	"resec/commands/lock"
	"resec/commands/member"
	"resec/commands/takeover"
	"resec/handlers/redis"
)

const (
	// minHandover is the least time a successor needs to take over. With less left, the lock is not transferred.
	minHandover = 500 * time.Millisecond
	// successorActTimeout is how long a successor may hold the lock without publishing itself: it may wait for our last bytes.
	successorActTimeout = takeover.DrainTimeout + 200*time.Millisecond
	// reclaimReserve is the last part of handoverBudget: in it the lock is taken again rather than transferred.
	reclaimReserve = 400 * time.Millisecond
)

const _ = uint(handoverBudget - successorActTimeout - reclaimReserve)

// handover is one attempt to hand mastership over to another member.
type handover struct {
	c       *controller
	session *lock.Session
	term    uint64 // of the term that we hand over; reclaiming the lock begins another
	tried   map[string]bool

	to          string    // the member that the lock was transferred to last
	transferred bool      // and we have not reclaimed it
	holder      string    // the session that holds the lock
	actBy       time.Time // until then that holder may act
}

// handOver transfers the lock to the member that lacks least, and waits until that member, or whichever has the lock then, is
// published. If the successor gives the lock back, because it stops, too, or does nothing with it, we take the lock again and try
// the next one. It returns the id of the new master; empty without an error: no member can have the lock.
func (c *controller) handOver(ctx context.Context, s *lock.Session, term cluster.Term) (to string, err error) {
	h := &handover{c: c, session: s, term: term.Number, tried: map[string]bool{}}
	for {
		k, changed := c.a.known.Watch()
		deadline, _ := ctx.Deadline()
		h.note(k.View.Session, time.Now(), deadline)
		if m := k.View.State.Master; h.done(k, m) {
			return m.ID, nil
		}
		progress, end, err := h.step(ctx, k)
		if end || err != nil {
			return h.to, err
		}
		if progress {
			continue
		}
		if err := h.wait(ctx, changed); err != nil {
			return h.to, err
		}
	}
}

// note notes a new holder, and until when it may act.
func (h *handover) note(session string, now, deadline time.Time) {
	if session == h.holder {
		return
	}
	h.holder = session
	h.actBy = now.Add(min(successorActTimeout, max(minHandover, deadline.Sub(now)-reclaimReserve)))
}

// done reports whether another member is published as the master.
func (h *handover) done(k member.Snapshot, m *cluster.Master) bool {
	return m != nil && m.ID != h.c.a.Me.ID && m.Term > h.term && (k.View.Free() || m.ID == k.View.Holder)
}

// handoverMove is what a handover does next.
type handoverMove int

const (
	awaitChange      handoverMove = iota // the successor may still act, or the view is too old
	transferLock                         // to the next member
	giveUp                               // there is no time left, or nothing to hand over
	lockLost                             // before it was transferred
	reclaimLock                          // the successor gave it back
	reclaimIfUnbegun                     // the successor's time is over: unless it has begun to change our Redis
)

// next decides what to do by a snapshot.
func (h *handover) next(k member.Snapshot, now, deadline time.Time) handoverMove {
	ours := k.View.Session == h.session.ID
	if ours && !h.transferred {
		// After a dead master the members elect by themselves.
		if redis.Refused(k.Health.Err) || deadline.Sub(now) < reclaimReserve+minHandover {
			return giveUp
		}
		return transferLock
	}
	if !k.Fresh {
		return awaitChange
	}
	if !h.transferred {
		if k.View.Free() {
			return lockLost
		}
		return awaitChange
	}
	if ours || k.View.Free() {
		return reclaimLock
	}
	if now.Before(h.actBy) {
		return awaitChange
	}
	return reclaimIfUnbegun
}

// step makes the next move. progress: look again at once. end: there is nothing more to try.
func (h *handover) step(ctx context.Context, k member.Snapshot) (progress, end bool, err error) {
	deadline, _ := ctx.Deadline()
	switch h.next(k, time.Now(), deadline) {
	case transferLock:
		err := h.transferToNext(ctx, k)
		return true, h.to == "", err
	case giveUp:
		h.to = ""
		return false, true, nil
	case lockLost:
		h.to = ""
		return false, true, errNotHolder
	case reclaimLock:
		return h.tryReclaim(ctx, k)
	case reclaimIfUnbegun:
		if h.redisUntouched(ctx, k) {
			return h.tryReclaim(ctx, k)
		}
	}
	return false, false, nil
}

// tryReclaim takes the lock again.
func (h *handover) tryReclaim(ctx context.Context, k member.Snapshot) (progress, end bool, err error) {
	term, err := h.reclaim(ctx, k)
	switch {
	case err == nil:
		h.c.a.Log.Warn("successor did not take over; the lock is ours again and the next member is tried",
			"event", "lock_reclaimed", "holder", k.View.Holder, "term", term)
		h.transferred, h.term = false, term
		return true, false, nil
	case errors.Is(err, takeover.ErrYielded):
		return true, false, nil
	case errors.Is(err, lock.ErrChanged), errors.Is(err, errNotHolder):
		return false, false, nil
	}
	return false, false, err
}

// wait returns on the next change, or when it is time to look again. It returns an error if the time for the handover is over, or
// Consul is down.
func (h *handover) wait(ctx context.Context, changed <-chan struct{}) error {
	look := minStepRetry
	if d := time.Until(h.actBy); d > 0 {
		look = min(look, d)
	}
	select {
	case <-ctx.Done():
		return errors.New("the successor has not published itself")
	case <-changed:
	case <-time.After(look): // a change of the session alone is not seen
		if down := h.c.a.consulError(ctx); down != nil {
			return fmt.Errorf("%w: %w", errConsulDown, down)
		}
	}
	return nil
}

// transferToNext transfers the lock to the next member that was not tried; none: to is empty. If the lock has changed meanwhile
// it only takes the view as it is now.
func (h *handover) transferToNext(ctx context.Context, k member.Snapshot) error {
	a := h.c.a
	soon, cancel := context.WithTimeout(ctx, consulProbeTimeout)
	defer cancel()
	s, err := h.c.contender.survey(soon, k)
	if err != nil {
		h.to = ""
		return err
	}
	if h.to = cluster.Successor(s.Candidates, k.Snapshot, a.Me, h.tried); h.to == "" {
		return nil
	}
	state := k.View.State
	state.Why = cluster.WhyLeaving
	v, err := a.Lock.Transfer(soon, h.session.ID, k.View, h.to, state)
	if errors.Is(err, lock.ErrChanged) {
		if down := a.consulError(ctx); down != nil {
			return fmt.Errorf("%w: %w", errConsulDown, down)
		}
		_, err = a.observer.Read(ctx)
		return err
	}
	if err != nil {
		return err
	}
	failpoint.Hit("passed")
	a.Log.Info("lock is transferred; the member takes over", "event", "lock_transferred", "to", h.to)
	h.transferred, h.tried[h.to] = true, true
	a.observer.Take(v)
	return nil
}

// redisUntouched reports whether the lock may be taken from a successor that has it: our Redis is as we left it, and so is our
// session. A successor that has fenced or parked our Redis is at work. It may continue, whichever member has the lock by then.
func (h *handover) redisUntouched(ctx context.Context, k member.Snapshot) bool {
	if k.SessionID != h.session.ID {
		return false
	}
	st, err := h.c.a.local.Status(ctx)
	return err == nil && st.Master && !st.Fenced()
}

// reclaim makes our Redis the master again, whatever a successor that gave up has done to it, and returns the new term. A
// successor that still has the lock loses it: it enables no writes before it has published itself under that lock.
func (h *handover) reclaim(ctx context.Context, k member.Snapshot) (term uint64, err error) {
	c := h.c
	c.contender.handedOff = true
	var won *wonLock // nil: the successor has given the lock back to us
	if k.View.Session != h.session.ID {
		take := c.a.Lock.Preempt
		if k.View.Free() {
			take = c.a.Lock.Acquire
		}
		if k.View, err = take(ctx, h.session.ID, k.View, k.View.State); err != nil {
			return 0, err
		}
		c.a.observer.Wrote(k.View)
		won = &wonLock{k.View.LockIndex, time.Now()}
	}
	k.SetSession(h.session)
	t := newLeaderTerm(c, k)
	c.a.local.SetLeading(true)
	defer c.a.local.SetLeading(false)
	done, err := t.takeOver(ctx, k, won, takeover.NewTimeline(), nil)
	if done == nil {
		return 0, err
	}
	h.c.background.Go(done.Wait)
	c.a.observer.Wrote(done.View)
	return done.View.State.Term(), err
}
