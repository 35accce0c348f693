package lock

import "resec/handlers"

// State is what a cluster knows of itself: one JSON value beside the lock. Every write of it is a transaction that
// checks the writer's session on the lock and the state's index.
type State struct {
	Service string            `json:"service"`           // the master service's name: two clusters on one key are told by it
	Master  *Master           `json:"master,omitempty"`  // published
	Chain   []string          `json:"chain,omitempty"`   // lineages that the data went through, the newest last
	Record  map[string]string `json:"record,omitempty"`  // id → run_id of the members
	Why     string            `json:"why,omitempty"`     // the last holder gave up the lock
	Version int               `json:"version,omitempty"` // of this format
}

// Master is the published master.
type Master struct {
	handlers.Peer
	Node      string `json:"node,omitempty"`       // Consul's, where it is registered
	ServiceID string `json:"service_id,omitempty"` // Consul's
	Guard     int    `json:"guard"`                // min-replicas-to-write that was really set
}

// Why the last holder left.
const (
	WhyDead      = "dead"
	WhyUnhealthy = "unhealthy"
	WhyLeaving   = "leaving"
	WhyFailed    = "promotion failed"
)

// chainMax bounds the chain: more lineages than failovers that a member can sleep through and still come home.
const chainMax = 64

// Term is the published term, 0 before the first.
func (s State) Term() uint64 {
	if s.Master == nil {
		return 0
	}
	return s.Master.Term
}

// Publish is the state after m has become master with the next term, its data now in the lineages given. m.Term is the
// highest term that m knows of: the state may have been deleted by hand, and a term only rises.
func (s State) Publish(m Master, lineages ...string) State {
	m.Term = max(s.Term(), m.Term) + 1
	s.Master, s.Why, s.Version = &m, "", 1
	s.Chain = extend(s.Chain, lineages...)
	return s
}

// extend adds lineages that the chain lacks, and forgets the oldest above chainMax.
func extend(chain []string, lineages ...string) []string {
	out := append([]string(nil), chain...)
	for _, l := range lineages {
		known := l == ""
		for _, have := range out {
			known = known || have == l
		}
		if !known {
			out = append(out, l)
		}
	}
	return out[max(0, len(out)-chainMax):]
}
