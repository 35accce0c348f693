package agent

import (
	"context"
	"errors"
	"time"

	"resec/commands/contend"
	"resec/commands/known"
	"resec/commands/lock"
	"resec/commands/takeover"
)

// tryReclaim takes the lock again.
func (h *handover) tryReclaim(ctx context.Context, k known.Snapshot) (progress, end bool, err error) {
	term, err := h.reclaim(ctx, k)
	switch {
	case err == nil:
		h.c.a.Log.Warn("successor did not take over; the lock is ours again and the next member is tried",
			"event", "lock_reclaimed", "holder", k.View.Holder, "term", term)
		h.transferred, h.term = false, term
		return true, false, nil
	case errors.Is(err, takeover.ErrYielded):
		return true, false, nil
	case errors.Is(err, lock.ErrChanged), errors.Is(err, lock.ErrNotHolder):
		return false, false, nil
	}
	return false, false, err
}

// redisUntouched reports whether the lock may be taken from a successor that has it: our Redis is as we left it, and so is our
// session. A successor that has fenced or parked our Redis is at work. It may continue, whichever member has the lock by then.
func (h *handover) redisUntouched(ctx context.Context, k known.Snapshot) bool {
	if k.SessionID != h.session.ID {
		return false
	}
	st, err := h.c.a.local.Status(ctx)
	return err == nil && st.Master && !st.Fenced()
}

// reclaim makes our Redis the master again, whatever a successor that gave up has done to it, and returns the new term. A
// successor that still has the lock loses it: it enables no writes before it has published itself under that lock.
func (h *handover) reclaim(ctx context.Context, k known.Snapshot) (term uint64, err error) {
	c := h.c
	c.handedOff = true
	var won *contend.Won // nil: the successor has given the lock back to us
	if k.View.Session != h.session.ID {
		take := c.a.Lock.Preempt
		if k.View.Free() {
			take = c.a.Lock.Acquire
		}
		if k.View, err = take(ctx, h.session.ID, k.View, k.View.State); err != nil {
			return 0, err
		}
		c.a.observer.Wrote(k.View)
		won = &contend.Won{LockIndex: k.View.LockIndex, LeaderlessSince: time.Now()}
	}
	k.SetSession(h.session)
	t := newLeaderTerm(c, k)
	c.a.local.BeginLeading(ctx)
	defer c.a.local.EndLeading()
	done, err := t.takeOver(ctx, k, won, takeover.NewTimeline(), nil)
	if done == nil {
		return 0, err
	}
	h.c.background.Go(done.Wait)
	c.a.observer.Wrote(done.View)
	return done.View.State.Term(), err
}
