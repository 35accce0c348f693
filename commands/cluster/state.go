package cluster

import (
	"maps"
	"slices"

	"resec/handlers"
	"resec/handlers/redis"
)

// State is what a cluster knows of itself: one JSON value beside the lock. Every write of it is a transaction that
// checks the writer's session on the lock and the state's index. Its maps and slices are never changed in place.
type State struct {
	Service        string                  `json:"service"`           // the master service's name: two clusters on one key are told by it
	Master         *Master                 `json:"master,omitempty"`  // published
	Histories      []string                `json:"chain,omitempty"`   // lineages that the data went through, the newest last
	HistoryAliases map[string]string       `json:"woven,omitempty"`   // lineage that was about to lead, or run whose next one is not known yet → the one of the chain that it continues; empty: none
	Members        map[string]MemberRecord `json:"record,omitempty"`  // id → member
	FormerMembers  []string                `json:"former,omitempty"`  // ids of members that left, the latest last
	Why            string                  `json:"why,omitempty"`     // the published master's agent gave up the lock
	Version        int                     `json:"version,omitempty"` // of this format
}

// Master is the published master.
type Master struct {
	handlers.Peer
	Node        string   `json:"node,omitempty"`       // Consul's, where it is registered
	ServiceID   string   `json:"service_id,omitempty"` // Consul's
	Guard       int      `json:"guard"`                // min-replicas-to-write that is really set, or more is; GuardOff
	MaxLag      int      `json:"max_lag"`              // min-replicas-max-lag that is really set, or less is, in seconds
	ForceFollow []string `json:"overrule,omitempty"`   // ids that an operator makes follow in this term, whatever that wipes
}

// Why the published master's agent gave up the lock.
const (
	WhyDead      = "dead"
	WhyFrozen    = "frozen" // fence and park wait in its socket
	WhyUnhealthy = "unhealthy"
	WhyLeaving   = "leaving"
	WhyFailed    = "promotion failed"
)

// MasterReportedGone tells whether a member is the published master, and its own agent has seen that its Redis is gone, or has sent it
// what closes it as soon as it goes on.
func (s State) MasterReportedGone(id string) bool {
	return s.Master != nil && s.Master.ID == id && (s.Why == WhyDead || s.Why == WhyFrozen)
}

// Term is the published term, 0 before the first.
func (s State) Term() uint64 {
	if s.Master == nil {
		return 0
	}
	return s.Master.Term
}

// ForcedToFollow tells whether an operator wants the member to follow in this term, whatever that wipes.
func (s State) ForcedToFollow(id string) bool {
	return s.Master != nil && slices.Contains(s.Master.ForceFollow, id)
}

// WithMaster is the state after m has become master with the next term, its data now at p. m.Term is the highest term
// that m knows of: the state may have been deleted by hand, and a term only rises. One whose data share nothing with
// the chain begins a new one: the members that are recorded come along, for what they hold was this cluster's.
func (s State) WithMaster(m Master, p redis.Position) State {
	p = s.ResolvePosition(redis.Status{RunID: m.RunID, Position: p})
	m.Term = max(s.Term(), m.Term) + 1
	s.Master, s.Why, s.Version = &m, "", 1
	if at, _ := s.historyIndex(p); at < 0 {
		s.Histories, s.HistoryAliases = appendHistory(nil, p.ReplID2), nil
	}
	s.Histories = appendHistory(s.Histories, p.ReplID)
	return s
}

// maxHistories bounds the chain: more lineages than failovers that a member can sleep through and still come home.
const maxHistories = 64

// appendHistory makes a lineage the newest, and forgets the oldest above chainMax.
func appendHistory(chain []string, lineage string) []string {
	out := slices.DeleteFunc(slices.Clone(chain), func(l string) bool { return l == lineage })
	if lineage != "" {
		out = append(out, lineage)
	}
	return out[max(0, len(out)-maxHistories):]
}

// AliasHistory is the state when data at p are about to lead. A history that continues one of the chain is noted as going on from that,
// for its own successor may come to name it alone. Until it is published it is no newer: nobody has accepted a write in it.
func (s State) AliasHistory(p redis.Position) State {
	at, from := s.historyIndex(redis.Position{ReplID: p.ReplID2})
	if known, _ := s.historyIndex(redis.Position{ReplID: p.ReplID}); p.ReplID == "" || at < 0 || known >= 0 {
		return s
	}
	return s.addAliases(from, p.ReplID)
}

// AliasRuns is the state when two are about to get a history that nobody knows yet, and that goes on from the data of the first: a
// server without a backlog begins one, and forgets what that continues, when its first replica attaches. What the second
// has of its own until then, where nobody knows that either, is not meant.
func (s State) AliasRuns(lender, own redis.Status) State {
	at, from := s.historyIndex(s.ResolvePosition(lender))
	if at < 0 {
		return s
	}
	mine, _ := s.historyIndex(s.ResolvePosition(own))
	s = s.addAliases(from, lender.RunID, own.RunID)
	if l := own.Position.ReplID; mine < 0 && l != "" && l != lender.Position.ReplID {
		s.HistoryAliases[l] = ""
	}
	return s
}

func (s State) addAliases(from string, names ...string) State {
	woven := maps.Clone(s.HistoryAliases)
	if woven == nil || len(woven)+len(names) > maxHistories {
		woven = map[string]string{}
	}
	for _, name := range names {
		woven[name] = from
	}
	s.HistoryAliases = woven
	return s
}

// ResolvePosition is where a Redis stands: of a run that was lent, what its history continues is added where nothing else tells.
func (s State) ResolvePosition(st redis.Status) redis.Position {
	p := st.Position
	unlike := slices.ContainsFunc([]string{p.ReplID, p.ReplID2}, func(l string) bool { from, is := s.HistoryAliases[l]; return is && from == "" })
	if at, _ := s.historyIndex(p); at < 0 && !unlike && st.RunID != "" && s.HistoryAliases[st.RunID] != "" {
		p.ReplID2, p.ReplID2EndOffset = s.HistoryAliases[st.RunID], 0
	}
	return p
}

// historyIndex is where in the chain data at p stand (-1: nowhere), and the lineage that their offset counts in: a history that
// nobody published is that of what it continues.
func (s State) historyIndex(p redis.Position) (int, string) {
	for _, l := range []string{p.ReplID, p.ReplID2} {
		if l == "" {
			continue
		}
		if at := slices.Index(s.Histories, l); at >= 0 {
			return at, l
		}
		if at := slices.Index(s.Histories, s.HistoryAliases[l]); at >= 0 {
			return at, s.HistoryAliases[l]
		}
	}
	return -1, p.ReplID
}
