package cluster

import (
	"cmp"
	"errors"
	"time"

	"resec/handlers/redis"
)

// MasterFailure is how one agent sees the published master.
type MasterFailure struct {
	RunID       string    // of the master; empty: no master is monitored
	Down        bool      // nothing listens at its address, or another instance answers there
	Unreachable bool      // it neither answers nor refuses
	Since       time.Time // since when it is down or unreachable
	DownSince   time.Time // since when it is down
}

// Observe returns what is known of the failure of the master with that run ID after one more probe of it.
func (f MasterFailure) Observe(runID string, h redis.Health, now time.Time) MasterFailure {
	was := f
	if was.RunID != runID {
		was = MasterFailure{}
	}
	is := MasterFailure{RunID: runID, Down: InstanceDown(h, runID), Unreachable: redis.Unreachable(h.Err)}
	if is.Down || is.Unreachable {
		is.Since = earliest(was.Since, now)
	}
	if is.Down {
		is.DownSince = earliest(was.DownSince, now)
	}
	return is
}

// earliest returns was, or now if was is zero.
func earliest(was, now time.Time) time.Time {
	if was.IsZero() {
		return now
	}
	return was
}

// masterFailed reports whether the published master has failed while its session still holds the lock, and our Redis may replace
// it. A master has failed if it is down, or if it is unreachable and has a guard, so that its closure can be proven.
func masterFailed(k Snapshot, id string) bool {
	m := k.View.State.Master
	if m == nil || m.ID == id || m.ID != k.View.Holder || k.Failure.RunID != m.RunID {
		return false
	}
	provable := k.Failure.Down || k.Failure.Unreachable && k.View.State.DetachQuorum() > 0
	return provable && mayReplace(k, id, *m)
}

// mayReplace reports whether our Redis may replace a failed master: it is usable, recorded as in sync, detached from all others,
// and no operator requests another master.
func mayReplace(k Snapshot, id string, m Master) bool {
	st := k.Health.Status
	if k.SessionID == "" || k.View.Request.Active() || cmp.Or(UnusableReason(k, id), commandsRefused(k, id)) != "" {
		return false
	}
	if k.View.State.NotRecordedReason(id, st.RunID) != "" {
		return false
	}
	return !st.Master && (st.MasterAddr == m.Address || st.Parked())
}

// AddressMisleads returns ErrWrongAddress if the answer at a master's address is known to be another member's, or our own. Then
// the answer says nothing about the master.
func AddressMisleads(k Snapshot, me string, m Master, h redis.Health) error {
	if h.Err != nil || h.Status.RunID == "" {
		return nil
	}
	if err := k.View.CheckMember(m.ID, h.Status, k.Self(me)); errors.Is(err, ErrWrongAddress) {
		return err
	}
	return nil
}

// InstanceDown reports whether an instance is down: nothing listens at its address, or another instance answers. An
// unreachable instance may still be alive.
func InstanceDown(h redis.Health, runID string) bool {
	if redis.Refused(h.Err) {
		return true
	}
	return redis.Replied(h.Err) && h.Status.RunID != "" && h.Status.RunID != runID
}

// KnownUnresponsive reports whether the member is the master and is known not to answer: its own agent reported its failure, or
// our monitor finds it unreachable.
func (k Snapshot) KnownUnresponsive(id string) bool {
	s := k.View.State
	if s.MasterReportedGone(id) {
		return true
	}
	return s.isMaster(id) && k.Failure.Unreachable && k.Failure.RunID == s.Master.RunID
}

// NetworkMayReject reports whether a master that refuses connections may be alive behind a network that rejects them. It may if
// the lock is free without a reason and the master's agent still passes its check. That agent would have reported a dead Redis.
func NetworkMayReject(v View, m Member) bool {
	return v.Free() && v.State.Why == "" && v.State.isMaster(m.ID) && m.InCatalog() && m.AgentAlive()
}
