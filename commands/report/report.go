// Package report makes one report of a member from a snapshot of its agent, and from what servers have just answered: for those
// that ask by HTTP, and for the log. It asks no server itself and has no goroutine.
package report

import (
	"time"

	"resec/commands/cluster"
	"resec/commands/known"
	"resec/handlers/redis"
)

// Report is what a member is at one moment.
type Report struct {
	Why       string        // nothing is known of our Redis, because of this; empty: it is known
	Leaving   bool          // the agent was asked to stop
	Holds     bool          // the lock is ours, or lost and free, and we are the first to take it again
	Term      uint64        // published
	Master    string        // id of the published master; empty: there is none
	Published bool          // our Redis, in its present instance, is that master
	Follows   bool          // our Redis follows that master
	Lacks     string        // why our Redis, in its present instance, is not recorded as in sync; empty: it is
	Lease     time.Duration // that is left
	Redis     redis.Status  // ours
	Differs   string        // why our Redis, a replica, has other data than its master's; empty: it has not, as far as is known
	Behind    *int64        // bytes that the master has and our Redis has not; nil: unknown, or not asked for
}

// New returns the report of the member with that id. own and err are what its Redis answered just now, and master is what the
// published master answered; nil: it was not asked, or does not answer.
func New(k known.Snapshot, id string, own redis.Status, err error, master *redis.Status, now time.Time) Report {
	s := k.View.State
	reclaims := cluster.MayReclaim(k.Snapshot, id)
	r := Report{Term: s.Term(), Redis: own, Holds: k.HoldsLock() || reclaims, Lease: k.LeaseLeft(now)}
	if err != nil {
		r.Why = "redis is unusable: " + redis.Summary(err)
	} else if own.Loading {
		r.Why = "redis is unusable: " + redis.ErrLoading.Error()
	}
	if !own.Master {
		r.Differs = cluster.StreamErrorsReason(k.StreamErrors.Count)
	}
	m := s.Master
	if m == nil {
		return r
	}
	r.Master, r.Published, r.Follows = m.ID, m.ID == id && m.RunID == own.RunID, !own.Master && own.MasterAddr == m.Address
	if r.Lacks = s.NotRecordedReason(id, own.RunID); r.Lacks == "" && s.Members[id].InSyncTerm != s.Term() {
		r.Lacks = "it was not seen in sync with the master of this term yet"
	}
	comparable := master != nil && master.Master && master.RunID == m.RunID && master.Position.ReplID == own.Position.ReplID
	if comparable && !own.Master {
		behind := max(0, master.Position.Offset-own.Position.Offset)
		r.Behind = &behind
	}
	return r
}
