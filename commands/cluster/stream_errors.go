package cluster

import (
	"fmt"

	"resec/handlers/redis"
)

// StreamErrors are the commands of its master's stream that a replica answered with an error, since its data last were the
// master's. It does not have what they wrote, although its offset has passed them. Redis counts such errors for as long as a run
// lasts, also from when it was a master. A full sync and a promotion begin anew. Its agent keeps them in the member key.
type StreamErrors struct {
	Base  int64 `json:"base,omitempty"`  // redis.Status.ErrorReplies when the data last were the master's
	Count int64 `json:"count,omitempty"` // since then
}

// observe returns the errors of a run after one more status of it.
func (e StreamErrors) observe(st redis.Status) StreamErrors {
	if st.Master || st.Syncing || st.Loading {
		return StreamErrors{Base: st.ErrorReplies}
	}
	if since := st.ErrorReplies - e.Base; since >= e.Count {
		e.Count = since
	} else { // the counter was reset by hand, and the data are as they were
		e.Base = st.ErrorReplies - e.Count
	}
	return e
}

// Adopt returns the errors of a run with what this agent's predecessor knew of it.
func (e StreamErrors) Adopt(before StreamErrors, st redis.Status) StreamErrors {
	if e.Base != 0 { // this agent has seen since that the data are the master's
		return e
	}
	return before.observe(st)
}

// StreamErrors returns how many commands of its master's stream a member's Redis, which has that status, answered with an error
// since its data last were the master's. It is 0 for a master.
func (v View) StreamErrors(id string, st redis.Status) int64 {
	var known StreamErrors
	if key := v.LiveAgents[id]; key.RunID == st.RunID {
		known = key.StreamErrors
	}
	return known.observe(st).Count
}

// StreamErrorsReason says what such errors mean, empty if there are none.
func StreamErrorsReason(n int64) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("redis answered %d commands of its master with an error, so its data are not the master's: "+
		"make it know these commands, and restart it without its data", n)
}
