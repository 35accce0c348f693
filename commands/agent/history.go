package agent

import (
	"context"
	"time"

	"resec/commands/cluster"
	"resec/commands/takeover"
)

// recordTakeover counts the steps of a take-over that is done, and has a change of mastership remembered.
func (a *Agent) recordTakeover(ctx context.Context, before snapshot, after cluster.View, began time.Time, steps []cluster.Step) {
	last := time.Duration(0)
	for _, s := range steps {
		a.Metrics.Step(s.Name, s.At-last)
		last = s.At
	}
	since := a.leaderless.Since
	if m := before.Failure; before.View.State.Master != nil && m.RunID == before.View.State.Master.RunID && !m.Since.IsZero() && (since.IsZero() || m.Since.Before(since)) {
		since = m.Since // long before the lock was free, where its agent died, too
	}
	if c, moved := mastershipChange(before, after, since, began, steps); moved {
		a.background.Go(func() { a.appendHistory(ctx, c) })
	}
}

// appendHistory writes a change of mastership to the history.
func (a *Agent) appendHistory(ctx context.Context, c cluster.Change) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), finalCallTimeout) // we may be about to leave
	defer cancel()
	if err := a.Lock.AppendHistory(ctx, c); err != nil {
		a.Log.Warn("the history of masters could not be written", "err", err)
	}
}

// mastershipChange is what a take-over, done just now, has changed; nothing where our Redis was the master before. The lock is free since
// then, or it was passed, or lost while the master went on.
func mastershipChange(before snapshot, after cluster.View, since, began time.Time, steps []cluster.Step) (c cluster.Change, moved bool) {
	old, now := before.View.State.Master, after.State.Master
	c = cluster.Change{At: time.Now().UTC().Truncate(time.Millisecond), To: now.ID, Term: now.Term, Cause: causeOf(before), Steps: steps}
	if old == nil {
		return c, true
	}
	if since.IsZero() || since.After(began) {
		since = began
	}
	c.From, c.Outage = old.ID, takeover.Outage(steps, began.Sub(since))
	return c, old.RunID != now.RunID
}

// causeOf is the cause of a take-over, as far as its winner knows.
func causeOf(k snapshot) string {
	switch r, s := k.View.Request, k.View.State; {
	case r.Active() && r.Planned:
		return "switchover"
	case r.Active():
		return "failover by force"
	case s.Master == nil:
		return "the first master"
	case s.Why == "":
		return "the lock was lost"
	default:
		return s.Why
	}
}
