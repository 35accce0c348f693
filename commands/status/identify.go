package status

import (
	"errors"
	"fmt"

	"resec/commands/cluster"
	"resec/handlers/redis"
)

// Identify returns the answers, without those that are known to come from another member's Redis: these get
// cluster.ErrWrongAddress. If one Redis answers for several members, those get it to which it is not known to belong.
func Identify(v cluster.View, answers []MemberStatus) []MemberStatus {
	first := map[string]string{}  // by run_id: the first member for which it answered
	shared := map[string]string{} // by run_id: the second one
	for _, a := range answers {
		if run := a.Status.RunID; a.Err == nil && first[run] == "" {
			first[run] = a.ID
		} else if a.Err == nil && shared[run] == "" {
			shared[run] = a.ID
		}
	}
	out := make([]MemberStatus, len(answers))
	for i, a := range answers {
		a.WrongAddress = v.WrongAddressReason(a.ID)
		if run := a.Status.RunID; a.Err == nil {
			a.Err = identityError(v, a, first[run], shared[run])
		}
		if a.Err != nil {
			a.Status = redis.Status{}
		}
		out[i] = a
	}
	return out
}

// identityError returns cluster.ErrWrongAddress if the Redis that answered for a member is not the member's. first and second are
// members for which the same Redis answered; an empty second: it answered for one member.
func identityError(v cluster.View, a MemberStatus, first, second string) error {
	err := v.CheckMember(a.ID, a.Status, cluster.Instance{})
	if errors.Is(err, cluster.ErrWrongAddress) {
		return err
	}
	registered := a.InCatalog() && a.AgentAlive() // the address of a member that has left may be another's
	if second == "" || !registered || v.OwnsRun(a.ID, a.Status.RunID) {
		return nil
	}
	return fmt.Errorf("%w: one redis answers at the announced addresses of %s and %s; correct ANNOUNCE_ADDR or REDIS_ADDR there",
		cluster.ErrWrongAddress, first, second)
}
