package cluster

import "time"

// MasterFailure is a published master as the watch on it sees it.
type MasterFailure struct {
	RunID       string // of the master; empty: none is watched
	Down        bool   // nothing listens, or another run answers
	Unreachable bool
	Since       time.Time // it is one of both
	DownSince   time.Time // it is gone
}

// MasterFailed tells whether the published master, whose session holds the lock, is gone or silent, and our Redis might be the next.
func MasterFailed(k Snapshot, id string) bool {
	m, st := k.View.State.Master, k.Health.Status
	if m == nil || m.ID == id || m.ID != k.View.Holder || k.Failure.RunID != m.RunID || !k.Failure.Down && !k.Failure.Unreachable {
		return false
	}
	return k.SessionID != "" && UnusableReason(k.Health) == "" && k.View.State.NotRecordedReason(id, st.RunID) == "" && !k.View.Request.Active() &&
		!st.Master && (st.MasterAddr == m.Address || st.Parked()) && (k.Failure.Down || k.View.State.DetachQuorum() > 0)
}
