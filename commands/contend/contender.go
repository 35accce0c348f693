// Package contend gets the lock for one member, in an election of all or by an early takeover. The controller's goroutine runs
// it, and owns the Contender.
package contend

import (
	"context"
	"log/slog"
	"time"

	"resec/commands/cluster"
	"resec/commands/known"
	"resec/commands/lock"
	"resec/commands/survey"
	"resec/handlers/redis"
)

// Contender gets the lock: it surveys the members, waits for this member's turn, and acquires the lock or preempts its
// holder.
//
// Its settings, from ID to Log, are set before its first use and not changed afterwards. All else of it is the state of the
// controller's goroutine. That goroutine alone calls its methods; a takeover and a handover, which call some of them, run in it.
// Preempt starts a goroutine that reads the snapshot alone, and joins it. Acquire and Preempt are called after Advance, with the
// same snapshot.
type Contender struct {
	ID            string // of this member
	Lock          lock.Lock
	Surveyor      *survey.Surveyor
	Known         *known.Value
	Probe         redis.Probe   // of each member's Redis by its own agent
	Interval      time.Duration // between two updates of a member's entry in the catalogue
	SessionTTL    time.Duration
	EarlyTakeover bool // a holder that is proven down may lose its session before Consul ends it
	// BootstrapExpect is with how many members a cluster is founded; 0: see cluster.Candidacy.
	BootstrapExpect int

	Verify    chan<- struct{}    // wakes the session keeper: our session may be lost
	Wrote     func(cluster.View) // takes the view that a write of ours returned
	SetReason func(why string)   // notes why our Redis is not made to lead; empty: it is

	// ParkIfFollowing parks our Redis if it follows that address and no term of ours is under way, and reports whether it
	// parked.
	ParkIfFollowing func(ctx context.Context, addr string) (parked bool, err error)

	Log *slog.Logger

	// Leaderless is how long no other agent has held the lock. Advance continues it. The term resets it once our Redis is the
	// master.
	Leaderless cluster.Leaderless
	// HighestTerm is the highest term that is known: the state may be deleted by hand. The term raises it.
	HighestTerm uint64

	delay       electionDelay
	evidence    cluster.FailureEvidence
	masterCheck checkPassing // at the last survey
	unnamed     cluster.UnnamedMaster
}

// Won is a lock that contending has won.
type Won struct {
	LockIndex       uint64    // of the lock key's change that gave it to us
	LeaderlessSince time.Time // an unreachable member is waited for from then on
}

// Advance keeps what is remembered in step with the snapshot, before the controller does what it has decided by it.
func (c *Contender) Advance(k known.Snapshot, todo cluster.Action) {
	c.Leaderless = c.Leaderless.Advance(k.Snapshot, time.Now())
	if todo != cluster.Contend && todo != cluster.Preempt {
		c.delay = electionDelay{} // the lock is no longer as free as it was
	}
}

// Survey asks all members, and keeps what the answers prove of the published master.
func (c *Contender) Survey(ctx context.Context, k known.Snapshot) (survey.Result, error) {
	s, err := c.Surveyor.Survey(ctx, k.Snapshot)
	if err != nil {
		return survey.Result{}, err
	}
	followed, master := "", k.View.State.Master
	for _, is := range s.Answers {
		if is.Member.Unnamed {
			followed = is.Member.Address
		}
		c.evidence.Observe(is.Member.ID, is.Status, is.Err, is.At, master)
		if master != nil && master.ID == is.Member.ID && is.Member.Check == "passing" {
			c.masterCheck = checkPassing{master.RunID, time.Now()}
		}
	}
	c.unnamed, s.Unnamed = c.unnamed.Observe(followed, s.Unnamed != "", time.Now())
	return s, nil
}

// Detached is what surveys have found out about members that are detached from a master that fails; nil: nothing.
func (c *Contender) Detached() *cluster.DetachTracker { return c.evidence.Detached }

// MasterCheckPassing reports whether the entry of that instance of the master in the catalogue passed its check just now.
func (c *Contender) MasterCheckPassing(runID string) bool { return c.masterCheck.isFresh(runID) }

// SlowMemberGrace bounds how long the election waits for a member that does not answer but whose agent is alive. Its Redis may
// just be slow and may hold the newest data. After that its own agent has made its check critical, which ends its session.
func (c *Contender) SlowMemberGrace() time.Duration {
	return time.Duration(c.Probe.Failures)*c.Probe.Timeout + time.Second
}

// StallAllowance is added to the wait for a master's guard. A master whose process stalled for less than its own stall limit
// is not fenced by its agent, and its guard closes later by the length of the stall.
func (c *Contender) StallAllowance(m *cluster.Master) time.Duration {
	detection := cluster.DetectionTime(c.Probe, c.EarlyTakeover)
	return cluster.StallAllowance(time.Duration(m.MaxLag)*time.Second, c.Interval, detection)
}

// checkPassing is a published master's instance whose entry in the catalogue passed its check: clients are sent to its address.
type checkPassing struct {
	runID string
	at    time.Time
}

// isFresh reports whether that was so just now.
func (p checkPassing) isFresh(runID string) bool {
	return p.runID == runID && time.Since(p.at) < 2*time.Second
}
