package agent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"resec/commands/cluster"
	"resec/commands/failpoint"
	"resec/commands/known"
	"resec/commands/lock"
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

var errOutOfTime = errors.New("no time is left for another member to take over")

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

// handOver transfers the lock to the freshest replica's agent, and waits until a member other than ours is published. If the
// successor gives the lock back, or does nothing with it, we take the lock again and try the next one. It returns the id of the
// new master. An empty id without an error means that no member can have the lock.
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
			return h.result(c.a.known.Load(), err)
		}
	}
}

// result is what became of a handover whose wait has ended with err: the successor may have been published meanwhile.
func (h *handover) result(k known.Snapshot, err error) (to string, _ error) {
	if m := k.View.State.Master; h.done(k, m) {
		return m.ID, nil
	}
	return h.to, err
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
func (h *handover) done(k known.Snapshot, m *cluster.Master) bool {
	return m != nil && m.ID != h.c.a.Me.ID && m.Term > h.term && (k.View.Free() || m.ID == k.View.Holder)
}

// handoverMove is what a handover does next.
type handoverMove int

const (
	awaitChange      handoverMove = iota // the successor may still act, or the view is too old
	transferLock                         // to the next member
	giveUp                               // there is nothing to hand over
	outOfTime                            // no successor could take over in the time that is left
	lockLost                             // before it was transferred
	reclaimLock                          // the successor gave it back
	reclaimIfUnbegun                     // the successor's time is over: unless it has begun to change our Redis
)

// next decides what to do by a snapshot.
func (h *handover) next(k known.Snapshot, now, deadline time.Time) handoverMove {
	ours := k.View.Session == h.session.ID
	if ours && !h.transferred {
		// After a dead master the members elect by themselves.
		if redis.Refused(k.Health.Err) {
			return giveUp
		}
		if deadline.Sub(now) < reclaimReserve+minHandover {
			return outOfTime
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
func (h *handover) step(ctx context.Context, k known.Snapshot) (progress, end bool, err error) {
	deadline, _ := ctx.Deadline()
	switch h.next(k, time.Now(), deadline) {
	case transferLock:
		err := h.transferToNext(ctx, k)
		return true, h.to == "", err
	case giveUp:
		h.to = ""
		return false, true, nil
	case outOfTime:
		return false, true, errOutOfTime
	case lockLost:
		h.to = ""
		return false, true, lock.ErrNotHolder
	case reclaimLock:
		return h.tryReclaim(ctx, k)
	case reclaimIfUnbegun:
		if h.redisUntouched(ctx, k) {
			return h.tryReclaim(ctx, k)
		}
	}
	return false, false, nil
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
func (h *handover) transferToNext(ctx context.Context, k known.Snapshot) error {
	a := h.c.a
	soon, cancel := context.WithTimeout(ctx, consulProbeTimeout)
	defer cancel()
	s, err := h.c.contender.Survey(soon, k)
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
