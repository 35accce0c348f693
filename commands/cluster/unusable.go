package cluster

import "resec/handlers/redis"

// UnusableReason returns why our Redis cannot be elected whatever data it holds, empty if it can. A priority of 0 is a wish about
// promotions: a Redis that is the master already keeps its term.
func UnusableReason(k Snapshot, id string) string {
	h := k.Health
	switch {
	case h.Err != nil:
		return "redis is unusable: " + redis.Summary(h.Err)
	case h.Status.Syncing:
		return "redis is syncing"
	case h.Status.Priority == 0 && !isMasterAlready(k, id):
		return "its replica-priority is 0"
	}
	return ""
}

// commandsRefused returns why our Redis cannot be made master, because it refuses a command that this needs; empty if it can. The
// published master is one already, and no term is ended for this.
func commandsRefused(k Snapshot, id string) string {
	refused := k.Refused.Lead()
	if refused == "" || isMasterAlready(k, id) {
		return ""
	}
	return "redis cannot be made master: " + refused
}

// isMasterAlready reports whether our Redis is the published master, fenced or not. If none is published, a writable master with
// replicas is.
func isMasterAlready(k Snapshot, id string) bool {
	st, s := k.Health.Status, k.View.State
	if s.isMaster(id) && s.Master.RunID == st.RunID {
		return st.Master
	}
	return Candidate{ID: id, Status: st}.Incumbent(s)
}
