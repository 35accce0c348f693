package takeover

import (
	"errors"
	"io"
	"slices"
	"time"

	"resec/commands/cluster"
	"resec/handlers"
	"resec/handlers/redis"
)

// verdict is what must be done about the old master after it was asked.
type verdict int

const (
	oldIsSelf        verdict = iota // our own Redis answers at its address: nothing
	oldIsUnrelated                  // only the catalogue names it, and its data share no history with ours: give up
	oldIsUnnamed                    // it answers, and nothing of this cluster names it: give up
	oldServes                       // it answers as the master: drain and park it
	oldIsImpostor                   // an unknown master answers, and clients are sent to it: park it
	oldIsPeer                       // a replica, or another instance: it may have the newest data, like any other member
	oldIsDown                       // nothing listens at its address: continue once our link to it has ended
	oldDeniesAccess                 // it is alive and must not be taken for unreachable: give up
	oldNotAsked                     // this host is exhausted, and could not ask it: give up
	oldAgentIsAlive                 // it is unreachable from here, but its agent has not given it up: give up
	oldIsUnreachable                // continue only with proof that its guard refuses writes
)

// oldMasterFacts is what a verdict depends on, apart from the answer.
type oldMasterFacts struct {
	view         cluster.View
	old          *cluster.Master
	me           cluster.Master
	listedOnly   bool // only the catalogue names it
	received     bool // our Redis received its stream when this takeover began
	unnamed      bool // only our Redis, which replicates from it, names it
	forced       bool // an operator forces the failover
	switchover   bool // an operator has asked for a switchover
	checkPassing bool // its check was passing a moment ago
}

// anyInstance is the RunID of an old master whose run_id is not known.
const anyInstance = "any"

// oldMasterVerdict returns the verdict on the answer of the old master, or on the error. own is the status of our Redis.
func (f oldMasterFacts) oldMasterVerdict(own, st redis.Status, err error) verdict {
	if err == nil {
		err = f.checkAddress(own, st)
	}
	if err != nil {
		return f.errorVerdict(err)
	}
	if st.RunID == own.RunID {
		return oldIsSelf
	}
	if f.unnamed && !f.forced {
		return oldIsUnnamed
	}
	if !st.Master {
		return oldIsPeer
	}
	if f.listedOnly && !f.forced && !shareHistory(own.Position, st.Position) {
		return oldIsUnrelated
	}
	if st.RunID == f.old.RunID || f.old.RunID == anyInstance {
		return oldServes
	}
	if f.checkPassing && !f.view.IsMembers(f.old.ID, st) { // restarted, without an agent that would park it
		return oldIsImpostor
	}
	return oldIsPeer
}

// checkAddress returns cluster.ErrWrongAddress if our own Redis, or another member's, answers in place of the old master. It may
// be alive on another host. Our own Redis may answer for an old master that was this member, or was at this very place.
func (f oldMasterFacts) checkAddress(own, st redis.Status) error {
	samePlace := f.old.Node == "" || f.old.Node == f.me.Node && f.old.Address == f.me.Address
	if st.RunID == f.old.RunID || st.RunID == own.RunID && (f.old.ID == f.me.ID || samePlace) {
		return nil
	}
	err := f.view.CheckMemberForProof(f.old.ID, st, cluster.Instance{ID: f.me.ID, RunID: own.RunID})
	if errors.Is(err, cluster.ErrWrongAddress) {
		return err
	}
	return nil
}

func (f oldMasterFacts) errorVerdict(err error) verdict {
	if redis.Refused(err) {
		return oldIsDown
	}
	if redis.Exhausted(err) {
		return oldNotAsked
	}
	if !redis.OutOfReach(err) && !f.treatAsUnreachable(err) {
		return oldDeniesAccess
	}
	agentAlive := f.view.LiveAgents[f.old.ID].Session != ""
	if f.switchover || cluster.HandedOver(f.view.State.Why) && agentAlive {
		return oldAgentIsAlive
	}
	return oldIsUnreachable
}

// treatAsUnreachable reports whether a Redis that denies access may be treated as unreachable. If it is the old master, its
// guard refuses writes all the same. It may not while our Redis receives its stream: then it is the old master, and alive.
// GUARD=off proves nothing.
func (f oldMasterFacts) treatAsUnreachable(err error) bool {
	if !redis.AccessDenied(err) {
		return false
	}
	if f.forced || f.view.State.MasterReportedGone(f.old.ID) {
		return true
	}
	return f.old.Guard != cluster.GuardOff && !f.received
}

// shareHistory reports whether one of two positions continues the other.
func shareHistory(a, b redis.Position) bool { return a.IsAncestorOf(b) || b.IsAncestorOf(a) }

// oldMasterOf returns the master that must be stopped before our Redis is promoted; nil: none. listedOnly: only the catalogue
// names it. If no state names a master, because Consul has lost its data, it is the one that our Redis replicates from, or the
// catalogue's.
func oldMasterOf(published, listed *cluster.Master, own redis.Status) (old *cluster.Master, listedOnly bool) {
	old = published
	if old == nil && !own.Master && !own.Parked() {
		old = &cluster.Master{Peer: handlers.Peer{ID: own.MasterAddr, Address: own.MasterAddr, RunID: anyInstance}}
	}
	if old == nil {
		old, listedOnly = listed, listed != nil
	}
	if old == nil || old.RunID == own.RunID {
		return nil, false
	}
	if old.RunID == "" { // published by `elect` with a handler, while its Redis did not answer
		known := *old
		known.RunID, old = anyInstance, &known
	}
	return old, listedOnly
}

const (
	// peerTimeout bounds one look at another member's Redis (connect and ask), and each command to it. A slower one is
	// unreachable.
	peerTimeout = 300 * time.Millisecond
	// KnownDeadTimeout bounds a look at a master that is known not to answer.
	KnownDeadTimeout = 50 * time.Millisecond
	// reportedDownTimeout bounds the first look at a master whose agent reported it as down: it refuses at once, or it was
	// restarted, and then its data count. Connection, handshake and answer take up to KnownDeadTimeout each.
	reportedDownTimeout = 3 * KnownDeadTimeout
)

// firstProbeTimeout returns the bound of the first look at the old master. usual is HEALTHCHECK_TIMEOUT.
func firstProbeTimeout(s cluster.State, old *cluster.Master, unresponsiveRun string, usual time.Duration) time.Duration {
	if s.MasterReportedGone(old.ID) && s.Why == cluster.WhyDead {
		return reportedDownTimeout
	}
	if s.MasterReportedGone(old.ID) {
		return KnownDeadTimeout
	}
	if unresponsiveRun == old.RunID {
		return peerTimeout
	}
	return usual
}

// receivesFrom reports whether a Redis receives the master's stream, from its address or a former one.
func receivesFrom(st redis.Status, m *cluster.Master, former string) bool {
	return !linkEnded(st, m.Address, former)
}

// mayBeServing reports whether the published master may still serve clients although it does not answer, so that its replicas
// must be asked first. It is not if our Redis is that master, an operator forces the failover, or the master is known not to
// answer.
func mayBeServing(s cluster.State, ownRun, unresponsiveRun string, forced bool) bool {
	m := s.Master
	if m == nil || m.RunID == ownRun || forced {
		return false
	}
	return !s.MasterReportedGone(m.ID) && unresponsiveRun != m.RunID
}

// deniesAccess reports whether err comes from a server that is alive and denies access. One that hangs up without a word may do
// so.
func deniesAccess(err error) bool { return redis.AccessDenied(err) || errors.Is(err, io.EOF) }

// linkEnded reports whether a Redis has lost its link to a master that has one of these addresses, or never had one.
func linkEnded(st redis.Status, addrs ...string) bool {
	return !st.Streaming() || !slices.Contains(addrs, st.MasterAddr)
}

// hasAll reports whether our Redis has received everything up to a position of the same history.
func hasAll(own, want redis.Position) bool {
	return own.ReplID == want.ReplID && own.Offset >= want.Offset
}

// streamsHistoryOf reports whether our Redis streams the very history in which the master writes.
func streamsHistoryOf(own, master redis.Status) bool {
	return own.Streaming() && own.Position.ReplID == master.Position.ReplID
}

// lockVerdict returns nil if our session still holds the lock, and otherwise errOldMasterHasLock or ErrLost.
func lockVerdict(v cluster.View, session, oldRun string) error {
	if v.Session == session {
		return nil
	}
	if m := v.State.Master; m != nil && m.ID == v.Holder && m.RunID == oldRun { // what was done to it may be undone
		return errOldMasterHasLock
	}
	return ErrLost
}
