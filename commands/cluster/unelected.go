package cluster

import (
	"slices"

	"resec/handlers/redis"
)

const unelectedReason = "redis is a master that was not elected"

// UnelectedMaster reports whether our Redis accepts writes as a master while another instance is published: it was restarted
// without being parked, or promoted by hand.
func UnelectedMaster(k Snapshot) bool {
	m, st := k.View.State.Master, k.Health.Status
	return m != nil && st.Master && !st.Fenced() && st.RunID != m.RunID
}

// Followed is an instance of our Redis that followed a published master, and at which address. The zero value: it has led since.
type Followed struct{ RunID, Address string }

// ChangedByOther returns what something else has made of our Redis, which followed the published master in this very run. That is
// a master, or a replica of a server that is none of these: the master, the last one, the lock's holder. Empty: nothing. The
// caller forgets what was followed as a takeover of ours begins, and makes sure that the view is not late.
func ChangedByOther(k Snapshot, f Followed) string {
	st, m := k.Health.Status, k.View.State.Master
	unsure := m == nil || !k.Probed || k.Health.Err != nil || !k.Fresh || k.ConsulDown
	if unsure || k.Paused || f.RunID == "" || st.RunID != f.RunID {
		return ""
	}
	if UnelectedMaster(k) {
		return "a master"
	}
	ours := []string{redis.Sink, m.Address, f.Address, k.View.LiveAgents[k.View.Holder].Address}
	if st.Master || slices.Contains(ours, st.MasterAddr) {
		return ""
	}
	return "a replica of " + st.MasterAddr
}
