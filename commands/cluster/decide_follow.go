package cluster

import "resec/handlers/redis"

// decideFollow decides while another agent holds the lock. The first rule that applies decides:
//
//   - Only a lock holder that has published itself is followed: until then the master before it may still be published.
//   - A Redis that could not read a full sync of the master is parked, unless an operator forces it.
//   - A Redis that already follows the master unfenced is left alone, unless it has nothing yet. One that cannot read what the
//     master sends tries for ever.
//   - An operator's force makes any Redis follow.
//   - Unrelated data are parked.
//   - A Redis that the first write would end, because it cannot save its data, waits, parked.
//   - A new member waits, parked, until the master's agent has recorded it.
func decideFollow(k Snapshot, id string) (Action, string) {
	m, st := k.View.State.Master, k.Health.Status
	if m != nil && publishesUs(k, id, *m) {
		return Wait, "the lock is held under our member id, or the published master is our redis"
	}
	if m == nil || m.ID != k.View.Holder {
		if UnelectedMaster(k) {
			return Park, unelectedReason
		}
		return Wait, "the lock holder has not published itself as master yet"
	}
	if refused := k.FullSync.RefusedReason(st, *m); refused != "" && !k.View.State.ForcedToFollow(id) {
		return Park, refused
	}
	if st.MasterAddr == m.Address && !st.Fenced() {
		if startsOver(st) && !k.View.State.waitsToBeRecorded(id) {
			return Follow, "following " + m.ID + " without data: verifying that redis can read what the master sends"
		}
		return Wait, "following " + m.ID
	}
	if k.View.State.ForcedToFollow(id) {
		return Follow, "an operator forces this member to follow " + m.ID
	}
	if refused := k.View.State.RefuseFollowReason(id, st); refused != "" {
		return Park, refused
	}
	if k.View.State.waitsToBeRecorded(id) {
		return unrecordedAction(k), "the master's agent has not recorded this member yet"
	}
	if st.WriteEndsReplica {
		return Park, "as a replica redis would end with the first write: " + st.Refusing()
	}
	return Follow, "the master is " + m.ID
}

// startsOver reports whether a replica has neither data nor a link nor a position, so that a full sync is needed or under way.
func startsOver(st redis.Status) bool {
	return st.Keys == 0 && !st.LinkUp && !st.Loading && st.Position.Offset <= noPosition
}

// publishesUs reports whether the published master is our own Redis, or another one whose agent holds the lock under our id.
func publishesUs(k Snapshot, id string, m Master) bool {
	return m.RunID == k.Health.Status.RunID || m.ID == id && k.View.Holder == id
}

// waitsToBeRecorded reports whether a member is not recorded although members are: under `resec elect` there are none.
func (s State) waitsToBeRecorded(id string) bool {
	_, recorded := s.Members[id]
	return !recorded && len(s.Members) > 0
}

// unrecordedAction parks our Redis unless it is detached and takes no writes already.
func unrecordedAction(k Snapshot) Action {
	if st := k.Health.Status; st.Parked() || st.Master && st.Fenced() {
		return Wait
	}
	return Park
}
