package takeover

import (
	"time"

	"resec/commands/cluster"
)

// MastershipChange returns what a takeover has changed, which was done at the time at. It reports moved as false if our Redis was
// the master before. The argument since is when the cluster became leaderless. It is zero if the lock was transferred, or lost
// while the master continued.
func MastershipChange(before cluster.Snapshot, after cluster.View, since, began, at time.Time, steps []cluster.Step) (
	c cluster.Change, moved bool) {
	old, now := before.View.State.Master, after.State.Master
	c = cluster.Change{At: at.UTC().Truncate(time.Millisecond), To: now.ID, Term: now.Term,
		Cause: causeOf(before), Steps: steps}
	if old == nil {
		return c, true
	}
	if since.IsZero() || since.After(began) {
		since = began
	}
	c.From, c.Outage = old.ID, outage(steps, began.Sub(since))
	return c, old.RunID != now.RunID
}

// causeOf is the cause of a takeover, as far as its winner knows.
func causeOf(k cluster.Snapshot) string {
	r, s := k.View.Request, k.View.State
	switch {
	case r.Active() && r.Planned:
		return "switchover"
	case r.Active():
		return "failover by force"
	case s.Master == nil:
		return "the first master"
	case s.Why != "":
		return s.Why
	case k.Failure.RunID != s.Master.RunID:
		return "the lock was lost"
	case k.Failure.Down:
		return "the lock was lost, and redis was down"
	case k.Failure.Unreachable:
		return "the lock was lost, and redis did not answer"
	}
	return "the lock was lost"
}
