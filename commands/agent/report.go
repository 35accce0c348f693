package agent

import (
	"context"
	"sync"
	"time"

	"resec/commands/cluster"
	"resec/handlers/redis"
)

// Report is what a member is at one moment, for who asks it from outside.
type Report struct {
	Why       string        // nothing is known of our Redis; empty: it is
	Leaving   bool          // the agent was told to end
	Holds     bool          // the lock is ours, as far as Consul has told, or lost and free, and we are the first to take it again
	Term      uint64        // published
	Master    string        // id of the published master; empty: there is none
	Published bool          // our Redis, in its present run, is that
	Follows   bool          // our Redis follows that
	Lacks     string        // why our Redis, in its present run, is not recorded as level with that; empty: it is
	Lease     time.Duration // that is left
	Redis     redis.Status  // ours
	Behind    *int64        // bytes that the master has and we have not; nil: unknown, or not asked for
}

// reportTimeout bounds the look at our own Redis, and askFor that at the master's.
const reportTimeout = 2 * time.Second

// notReady is said before our Redis was opened, and after it was left.
const notReady = "the agent is not at work: it starts, or has left"

// Report looks at our Redis and, for how far that is behind, at the master, where we are not it. It may be called at any time.
func (a *Agent) Report(ctx context.Context, behind bool) Report {
	if !a.ready.Load() {
		return Report{Why: notReady}
	}
	ctx, cancel := context.WithTimeout(ctx, min(reportTimeout, a.Probe.Timeout))
	defer cancel()
	var master *redis.Status
	var wg sync.WaitGroup
	if s := a.known.Load().View.State; behind && s.Master != nil && s.Master.ID != a.Me.ID {
		wg.Go(func() {
			if st, err := a.probe(ctx, s.Master.Address, s.MasterReportedGone(s.Master.ID)); err == nil {
				master = &st
			}
		})
	}
	own, err := a.Redis.Status(ctx)
	wg.Wait()
	k := a.known.Load() // after the look: what was lost meanwhile is lost
	if h := k.Health; err != nil && redis.Replied(err) && h.Err == nil && h.Status.RunID != "" {
		own, err = h.Status, nil // it is busy, or does not let us in: what it said last stands
	}
	r := report(k, a.Me.ID, own, err, master, time.Now())
	r.Leaving = a.stopping.Load()
	return r
}

// report draws the conclusions.
func report(k snapshot, id string, own redis.Status, err error, master *redis.Status, now time.Time) Report {
	s := k.View.State
	r := Report{Term: s.Term(), Redis: own, Holds: k.HoldsLock() || k.View.Free() && k.HasLed && cluster.IsServingMaster(k.Snapshot, id)}
	if k.session != nil {
		r.Lease = k.session.Lease.Left(now)
	}
	switch {
	case err != nil:
		r.Why = "redis is unusable: " + redis.Summary(err)
	case own.Loading:
		r.Why = "redis is unusable: " + redis.ErrLoading.Error()
	}
	m := s.Master
	if m == nil {
		return r
	}
	r.Master, r.Published, r.Follows = m.ID, m.ID == id && m.RunID == own.RunID, !own.Master && own.MasterAddr == m.Address
	if r.Lacks = s.NotRecordedReason(id, own.RunID); r.Lacks == "" && s.Members[id].InSyncTerm != s.Term() {
		r.Lacks = "it was not seen level with the master of this term yet"
	}
	if master != nil && master.Master && master.RunID == m.RunID && master.Position.ReplID == own.Position.ReplID && !own.Master {
		behind := max(0, master.Position.Offset-own.Position.Offset)
		r.Behind = &behind
	}
	return r
}
