package lock

import (
	"maps"
	"slices"

	"resec/handlers"
	"resec/handlers/redis"
)

// State is what a cluster knows of itself: one JSON value beside the lock. Every write of it is a transaction that
// checks the writer's session on the lock and the state's index. Its maps and slices are never changed in place.
type State struct {
	Service string              `json:"service"`           // the master service's name: two clusters on one key are told by it
	Master  *Master             `json:"master,omitempty"`  // published
	Chain   []string            `json:"chain,omitempty"`   // lineages that the data went through, the newest last
	Woven   map[string]string   `json:"woven,omitempty"`   // lineage that was about to lead, or run whose next one is not known yet → the one of the chain that it continues; empty: none
	Record  map[string]Recorded `json:"record,omitempty"`  // id → member
	Former  []string            `json:"former,omitempty"`  // ids of members that left, the latest last
	Why     string              `json:"why,omitempty"`     // the published master's agent gave up the lock
	Version int                 `json:"version,omitempty"` // of this format
}

// Master is the published master.
type Master struct {
	handlers.Peer
	Node      string   `json:"node,omitempty"`       // Consul's, where it is registered
	ServiceID string   `json:"service_id,omitempty"` // Consul's
	Guard     int      `json:"guard"`                // min-replicas-to-write that is really set, or more is; GuardOff
	MaxLag    int      `json:"max_lag"`              // min-replicas-max-lag that is really set, or less is, in seconds
	Overrule  []string `json:"overrule,omitempty"`   // ids that an operator makes follow in this term, whatever that wipes
}

// Why the published master's agent gave up the lock.
const (
	WhyDead      = "dead"
	WhyFrozen    = "frozen" // fence and park wait in its socket
	WhyUnhealthy = "unhealthy"
	WhyLeaving   = "leaving"
	WhyFailed    = "promotion failed"
)

// GivenUp tells whether a member is the published master, and its own agent has seen that its Redis is gone, or has sent it
// what closes it as soon as it goes on.
func (s State) GivenUp(id string) bool {
	return s.Master != nil && s.Master.ID == id && (s.Why == WhyDead || s.Why == WhyFrozen)
}

// Term is the published term, 0 before the first.
func (s State) Term() uint64 {
	if s.Master == nil {
		return 0
	}
	return s.Master.Term
}

// Overruled tells whether an operator wants the member to follow in this term, whatever that wipes.
func (s State) Overruled(id string) bool {
	return s.Master != nil && slices.Contains(s.Master.Overrule, id)
}

// Publish is the state after m has become master with the next term, its data now at p. m.Term is the highest term
// that m knows of: the state may have been deleted by hand, and a term only rises. One whose data share nothing with
// the chain begins a new one: the members that are recorded come along, for what they hold was this cluster's.
func (s State) Publish(m Master, p redis.Position) State {
	p = s.Continued(redis.Status{RunID: m.RunID, Position: p})
	m.Term = max(s.Term(), m.Term) + 1
	s.Master, s.Why, s.Version = &m, "", 1
	if at, _ := s.base(p); at < 0 {
		s.Chain, s.Woven = extend(nil, p.Lineage2), nil
	}
	s.Chain = extend(s.Chain, p.Lineage)
	return s
}

// chainMax bounds the chain: more lineages than failovers that a member can sleep through and still come home.
const chainMax = 64

// extend makes a lineage the newest, and forgets the oldest above chainMax.
func extend(chain []string, lineage string) []string {
	out := slices.DeleteFunc(slices.Clone(chain), func(l string) bool { return l == lineage })
	if lineage != "" {
		out = append(out, lineage)
	}
	return out[max(0, len(out)-chainMax):]
}

// Weave is the state when data at p are about to lead. A history that continues one of the chain is noted as going on from that,
// for its own successor may come to name it alone. Until it is published it is no newer: nobody has accepted a write in it.
func (s State) Weave(p redis.Position) State {
	at, from := s.base(redis.Position{Lineage: p.Lineage2})
	if known, _ := s.base(redis.Position{Lineage: p.Lineage}); p.Lineage == "" || at < 0 || known >= 0 {
		return s
	}
	return s.weave(from, p.Lineage)
}

// Lend is the state when two are about to get a history that nobody knows yet, and that goes on from the data of the first: a
// server without a backlog begins one, and forgets what that continues, when its first replica attaches. What the second
// has of its own until then, where nobody knows that either, is not meant.
func (s State) Lend(lender, own redis.Status) State {
	at, from := s.base(s.Continued(lender))
	if at < 0 {
		return s
	}
	mine, _ := s.base(s.Continued(own))
	s = s.weave(from, lender.RunID, own.RunID)
	if l := own.Position.Lineage; mine < 0 && l != "" && l != lender.Position.Lineage {
		s.Woven[l] = ""
	}
	return s
}

func (s State) weave(from string, names ...string) State {
	woven := maps.Clone(s.Woven)
	if woven == nil || len(woven)+len(names) > chainMax {
		woven = map[string]string{}
	}
	for _, name := range names {
		woven[name] = from
	}
	s.Woven = woven
	return s
}

// Continued is where a Redis stands: of a run that was lent, what its history continues is added where nothing else tells.
func (s State) Continued(st redis.Status) redis.Position {
	p := st.Position
	unlike := slices.ContainsFunc([]string{p.Lineage, p.Lineage2}, func(l string) bool { from, is := s.Woven[l]; return is && from == "" })
	if at, _ := s.base(p); at < 0 && !unlike && st.RunID != "" && s.Woven[st.RunID] != "" {
		p.Lineage2, p.Branch = s.Woven[st.RunID], 0
	}
	return p
}

// base is where in the chain data at p stand (-1: nowhere), and the lineage that their offset counts in: a history that
// nobody published is that of what it continues.
func (s State) base(p redis.Position) (int, string) {
	for _, l := range []string{p.Lineage, p.Lineage2} {
		if l == "" {
			continue
		}
		if at := slices.Index(s.Chain, l); at >= 0 {
			return at, l
		}
		if at := slices.Index(s.Chain, s.Woven[l]); at >= 0 {
			return at, s.Woven[l]
		}
	}
	return -1, p.Lineage
}
