// Package cluster models a resec cluster and makes its decisions: what the cluster is, which member may lead it, and what
// an agent does next.
//
// The package is pure. It does no I/O, reads no clock (callers pass now) and starts no goroutine. It imports
// neither context nor Consul nor a Redis client; resec/handlers and resec/handlers/redis provide data types only. It owns
// nothing: functions take values and return values, and change no map or slice of an argument in place. DetachTracker,
// FailureEvidence and Observation are memories of a caller, with methods that add one observation.
//
// What a cluster is:
//
//   - view.go: View, one consistent read of the lock, the state and the keys below the lock.
//   - state.go, codec.go: State, the JSON value at <lock key>/state, its version, and the fields that only a newer program knows.
//   - histories.go: the replication IDs that the cluster's data went through.
//   - memberrecord.go: MemberRecord, what the state keeps of one member.
//   - members.go: MemberKey, which a live agent keeps in Consul, and Members, everything that is known of the members.
//   - request.go, pause.go, change.go: an operator's request, a pause, and one entry of the cluster's history.
//   - snapshot.go, observation.go, failure.go, operator.go: what one agent knows at one moment.
//   - evidence.go, detach.go: what one agent has found out about a master that fails.
//
// Which member may lead:
//
//   - candidate.go, rank.go: Candidate and Rank, the order of the members that may lead.
//   - eligibility.go: which members the state allows to lead, depending on the members that answer.
//   - candidacy.go, leaderless.go: when a member acquires a free lock.
//
// What happens next:
//
//   - decide.go: Decide, the next action of an agent. unusable.go, unelected.go: what it finds wrong with our Redis.
//   - lastseen.go: LastSeen and RepairOf, what is believed, and done, when Consul shows older keys than before.
//   - term.go: TermEnded, whether and why a term of leadership is over.
//   - update_members.go, pending.go: how the master's agent keeps the members of the state.
//   - guard.go, replicas.go: which guard is set and published, and which replicas it may count.
//   - stall.go: how long a process may stall without a consequence.
//   - switchover.go: whether an operator's switchover is accepted.
package cluster
