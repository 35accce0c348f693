package cluster

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"resec/handlers/redis"
)

// ErrWrongAddress is returned if another member's Redis, or our own, answers at a member's address: the announced address is
// wrong, as seen from this host. It says nothing about the member's Redis, which may be alive, so it does not count as Down.
var ErrWrongAddress = errors.New("wrong address")

// Instance is one run of a member's Redis.
type Instance struct{ ID, RunID string }

// CheckMember returns an error unless the Redis that answered at a member's address is that member's. It returns ErrWrongAddress
// if the member's agent is alive, and the Redis is known to be another member's, or our own. self is the member that asked; its
// zero value is none. Addresses are reused by other servers, so otherwise it returns ErrOtherInstance, unless one of these holds:
//
//   - no master was published yet, so there is nothing to compare with;
//   - its run is the recorded one, the published one, or the one that the member's agent reports;
//   - its data share a history with the state.
func (v View) CheckMember(id string, st redis.Status, self Instance) error {
	err := v.CheckMemberForProof(id, st, self)
	if errors.Is(err, ErrWrongAddress) && v.LiveAgents[id].Session == "" { // the address of a member that has left may be another's
		err = v.checkHistory(st)
	}
	return err
}

// CheckMemberForProof is CheckMember for evidence that a Redis takes no writes: another member's Redis at the member's address is
// none, whether the member's agent is alive or not.
func (v View) CheckMemberForProof(id string, st redis.Status, self Instance) error {
	if v.OwnsRun(id, st.RunID) {
		return nil
	}
	owner := v.ownerOf(st.RunID, self)
	if owner == id {
		return nil
	}
	if owner != "" {
		return fmt.Errorf("%w: the announced address of %s leads to the redis of %s; correct ANNOUNCE_ADDR or REDIS_ADDR of %s",
			ErrWrongAddress, id, owner, id)
	}
	return v.checkHistory(st)
}

// IsMembers is CheckMember without a member that asks.
func (v View) IsMembers(id string, st redis.Status) bool {
	return v.CheckMember(id, st, Instance{}) == nil
}

// OwnsRun reports whether a run is known to be a member's: it is recorded, published, or reported by the member's agent. At an
// address of the past that alone counts, because another member with the same data may have it.
func (v View) OwnsRun(id, run string) bool {
	if run == "" {
		return false
	}
	return run == v.State.Members[id].RunID || run == v.LiveAgents[id].RunID || v.State.isMaster(id) && run == v.State.Master.RunID
}

// checkHistory returns ErrOtherInstance unless a Redis that nothing else identifies may be a member's by its data.
func (v View) checkHistory(st redis.Status) error {
	if v.State.Master == nil {
		return nil
	}
	if index, _ := v.State.historyIndex(v.State.ResolvePosition(st)); index < 0 {
		return ErrOtherInstance
	}
	return nil
}

// ownerOf returns the member whose Redis has that run; empty if none is known. A live agent counts more than a record.
func (v View) ownerOf(run string, self Instance) string {
	if run == "" {
		return ""
	}
	if run == self.RunID {
		return self.ID
	}
	for _, alive := range []bool{true, false} {
		for _, id := range slices.Sorted(maps.Keys(v.LiveAgents)) {
			if key := v.LiveAgents[id]; key.RunID == run && (key.Session != "") == alive {
				return id
			}
		}
	}
	for _, id := range slices.Sorted(maps.Keys(v.State.Members)) {
		if v.State.Members[id].RunID == run {
			return id
		}
	}
	if m := v.State.Master; m != nil && m.RunID == run {
		return m.ID
	}
	return ""
}

// WrongAddressReason returns why the announced address of a member with a live agent is wrong, empty if nothing is known against
// it. It is wrong if another live agent announces it for another Redis, or has reached another member's Redis there.
func (v View) WrongAddressReason(id string) string {
	own := v.LiveAgents[id]
	if own.Session == "" || own.Address == "" {
		return ""
	}
	for _, other := range slices.Sorted(maps.Keys(v.LiveAgents)) {
		key := v.LiveAgents[other]
		if other == id || key.Session == "" {
			continue
		}
		if key.Address == own.Address && key.RunID != own.RunID {
			return fmt.Sprintf("%s announces %s, too, for another redis: ANNOUNCE_ADDR takes an address that leads every host to it",
				other, own.Address)
		}
		if key.WrongAddresses.Has(id, own.Address) {
			return fmt.Sprintf("%s leads %s to another member's redis: ANNOUNCE_ADDR takes an address that leads every host to it",
				own.Address, other)
		}
	}
	return ""
}
