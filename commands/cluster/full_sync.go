package cluster

import "resec/handlers/redis"

// FullSync is what this agent knows of full syncs of our Redis. One that fails after it has deleted our data, because it cannot
// be read here, fails again at once, and for ever.
type FullSync struct {
	HadData bool // our Redis had data, and no full sync since was completed

	// FailedFrom is the run_id of the master whose full sync failed last; empty: none did. FailedRun is that of our Redis then.
	FailedFrom, FailedRun string
}

// noPosition is slave_repl_offset of a replica that has to begin with a full sync.
const noPosition = 1

// observe returns what is known after one more status. newRun: our Redis was restarted. published: the master of the state.
//
// A Redis reads a full sync in one step: as long as it does it is loading, and afterwards it is linked. So one that had data, and
// is empty and neither loading nor linked, failed to read it. It has lost its position in the stream then. One that was emptied
// by a command has not.
func (f FullSync) observe(st redis.Status, newRun bool, published *Master) FullSync {
	if newRun {
		f.HadData = false
	}
	follows := published != nil && !st.Master && st.MasterAddr == published.Address
	emptied := f.HadData && startsOver(st)
	switch {
	case follows && emptied:
		f.FailedFrom, f.FailedRun = published.RunID, st.RunID
	case follows && st.Streaming() && f.FailedFrom == published.RunID:
		f.FailedFrom, f.FailedRun = "", ""
	}
	f.HadData = st.Keys > 0 || f.HadData && !st.Streaming() && !emptied
	return f
}

// RefusedReason says why a Redis with that status may not follow the master, empty if it may. It may not after a full sync from
// that master failed in this run. After one that failed in an earlier run it may not if it has data again.
func (f FullSync) RefusedReason(st redis.Status, m Master) string {
	if f.FailedFrom != m.RunID || f.FailedFrom == "" || st.Streaming() {
		return ""
	}
	if st.RunID != f.FailedRun && st.Keys == 0 {
		return ""
	}
	return "refused: redis could not read its last full sync from " + m.ID + ", which had deleted its data; its log says why; " +
		"`resec failover -to ID -force` overrides"
}

// LostData reports whether a member's Redis, which has that status, has lost its data in a full sync that it could not read, as
// its agent reports. Its record may still say that it is in sync.
func (v View) LostData(id string, st redis.Status) bool { return v.LiveAgents[id].lostData(st) }

// lostData is View.LostData for the key of the member.
func (k MemberKey) lostData(st redis.Status) bool {
	return k.FailedSync != "" && k.RunID == st.RunID && !st.Master && st.Keys == 0 && !st.Streaming()
}
