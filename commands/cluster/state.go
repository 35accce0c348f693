package cluster

import (
	"slices"

	"resec/handlers"
	"resec/handlers/redis"
)

// State is the shared state of a cluster: one JSON value at <lock key>/state. Every write of it is a transaction that checks
// the writer's session on the lock and the state's index. Its maps and slices are never changed in place.
//
// HistoryAliases maps a replication ID or a run ID to the ID in Histories that its data continue; empty: they continue none.
type State struct {
	Service        string                  `json:"service"`           // name of the master service: detects two clusters on one key
	Master         *Master                 `json:"master,omitempty"`  // the published master; nil: none was published yet
	Histories      []string                `json:"chain,omitempty"`   // replication IDs that the data went through, the newest last
	HistoryAliases map[string]string       `json:"woven,omitempty"`   // see AliasHistory and AliasRuns
	Members        map[string]MemberRecord `json:"record,omitempty"`  // by member id
	FormerMembers  []string                `json:"former,omitempty"`  // ids of members that left, the latest last
	Guards         map[string]GuardRecord  `json:"guards,omitempty"`  // by member id, also of members that left
	Why            string                  `json:"why,omitempty"`     // why the master's agent released the lock; empty: it did not
	Version        int                     `json:"version,omitempty"` // StateVersion of the writer; 0: no master yet

	UnknownFields UnknownFields `json:"-"`
}

// Master is the published master.
type Master struct {
	handlers.Peer
	Node        string   `json:"node,omitempty"`       // Consul node with which its service is registered
	ServiceID   string   `json:"service_id,omitempty"` // Consul id of its service
	Guard       int      `json:"guard"`                // lower bound of min-replicas-to-write as set on Redis; GuardOff: no guard
	MaxLag      int      `json:"max_lag"`              // upper bound of min-replicas-max-lag as set on Redis, in seconds
	ForceFollow []string `json:"overrule,omitempty"`   // ids that an operator forces to follow in this term

	UnknownFields UnknownFields `json:"-"`
}

// Reasons why the published master's agent released the lock: the values of State.Why.
const (
	WhyDead      = "dead"
	WhyFrozen    = "frozen" // a fence and a REPLICAOF wait in the socket of its Redis
	WhyUnhealthy = "unhealthy"
	WhyLeaving   = "leaving"
	WhyFailed    = "promotion failed"
)

// MasterReportedGone reports whether the member is the published master and its own agent reported that its Redis is down,
// or is frozen with a fence waiting in its socket.
func (s State) MasterReportedGone(id string) bool {
	return s.isMaster(id) && (s.Why == WhyDead || s.Why == WhyFrozen)
}

// isMaster reports whether the member is the published master.
func (s State) isMaster(id string) bool { return s.Master != nil && s.Master.ID == id }

// Term returns the published term, 0 before the first.
func (s State) Term() uint64 {
	if s.Master == nil {
		return 0
	}
	return s.Master.Term
}

// ForcedToFollow reports whether an operator forces the member to follow in this term, even if its data are unrelated.
func (s State) ForcedToFollow(id string) bool {
	return s.Master != nil && slices.Contains(s.Master.ForceFollow, id)
}

// withoutForce returns the state after a forced member has followed: the force is used up.
func (s State) withoutForce(id string) State {
	if !s.ForcedToFollow(id) {
		return s
	}
	m := *s.Master
	m.ForceFollow = slices.DeleteFunc(slices.Clone(m.ForceFollow), func(forced string) bool { return forced == id })
	s.Master = &m
	return s
}

// WithMaster returns the state after m became master with the next term, when its data were at p.
//
//   - m.Term is the highest term that m knows. The new term is above it and above the published one, because the state may
//     have been deleted by hand and a term only rises.
//   - The master's replication ID becomes the newest history. Data that share no history with the state begin a new list.
//   - The members stay in any case: what they hold was this cluster's data.
//   - Unknown fields of the published master stay if m is the same member. They do not describe another member.
func (s State) WithMaster(m Master, p redis.Position) State {
	p = s.ResolvePosition(redis.Status{RunID: m.RunID, Position: p})
	m.Term = max(s.Term(), m.Term) + 1
	if s.isMaster(m.ID) {
		m.UnknownFields = s.Master.UnknownFields
	}
	s.Master, s.Why, s.Version = &m, "", StateVersion
	if index, _ := s.historyIndex(p); index < 0 {
		s.Histories, s.HistoryAliases = appendHistory(nil, p.ReplID2), nil
	}
	s.Histories = appendHistory(s.Histories, p.ReplID)
	return s
}
