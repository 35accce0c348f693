package cluster

import (
	"maps"
	"slices"

	"resec/handlers/redis"
)

// maxHistories bounds Histories and HistoryAliases. It is more than the failovers that a member can miss and still be
// recognized as one of this cluster when it returns.
const maxHistories = 64

// appendHistory returns histories with a replication ID as the newest. The oldest is dropped above maxHistories.
func appendHistory(histories []string, replID string) []string {
	out := slices.DeleteFunc(slices.Clone(histories), func(id string) bool { return id == replID })
	if replID != "" {
		out = append(out, replID)
	}
	return out[max(0, len(out)-maxHistories):]
}

// AliasHistory returns the state before a Redis with data at p is promoted: it records that p.ReplID continues a known
// history. A later restart or resync may leave a server that reports only the new ID. The new ID ranks no higher than the
// history that it continues until its master is published: no client has written to it before.
func (s State) AliasHistory(p redis.Position) State {
	continued, known := s.historyIndex(redis.Position{ReplID: p.ReplID2})
	if own, _ := s.historyIndex(redis.Position{ReplID: p.ReplID}); p.ReplID == "" || continued < 0 || own >= 0 {
		return s
	}
	return s.withAliases(known, p.ReplID)
}

// AliasRuns returns the state before a member is promoted temporarily so that our Redis can sync from it. A Redis without a
// backlog starts a new replication ID when its first replica attaches and forgets what the ID continues. Therefore both run
// IDs are recorded as continuing the source's history. A replication ID that our Redis has until then, and that is neither
// known nor the source's, is excluded: its data do not continue that history.
func (s State) AliasRuns(source, own redis.Status) State {
	index, known := s.historyIndex(s.ResolvePosition(source))
	if index < 0 {
		return s
	}
	ownIndex, _ := s.historyIndex(s.ResolvePosition(own))
	s = s.withAliases(known, source.RunID, own.RunID)
	if id := own.Position.ReplID; ownIndex < 0 && id != "" && id != source.Position.ReplID {
		s.HistoryAliases[id] = ""
	}
	return s
}

// withAliases returns the state in which each name continues a known history. The aliases are a new map: the caller may
// change it.
func (s State) withAliases(known string, names ...string) State {
	aliases := maps.Clone(s.HistoryAliases)
	if aliases == nil || len(aliases)+len(names) > maxHistories {
		aliases = map[string]string{}
	}
	for _, name := range names {
		aliases[name] = known
	}
	s.HistoryAliases = aliases
	return s
}

// ResolvePosition returns the position of a Redis. If its replication IDs are unknown and its run was recorded by AliasRuns,
// the history that the run continues is filled in as ReplID2.
func (s State) ResolvePosition(st redis.Status) redis.Position {
	p := st.Position
	if index, _ := s.historyIndex(p); index >= 0 || st.RunID == "" {
		return p
	}
	if s.excluded(p.ReplID) || s.excluded(p.ReplID2) {
		return p
	}
	if known := s.HistoryAliases[st.RunID]; known != "" {
		p.ReplID2, p.ReplID2EndOffset = known, 0
	}
	return p
}

// excluded reports whether a replication ID is recorded as one that continues none of the histories.
func (s State) excluded(replID string) bool {
	known, recorded := s.HistoryAliases[replID]
	return recorded && known == ""
}

// historyIndex returns the index in Histories of data at p, -1 if there is none, and the replication ID in which their offset
// counts. An ID that was never published counts as the history that it continues.
func (s State) historyIndex(p redis.Position) (index int, replID string) {
	for _, id := range []string{p.ReplID, p.ReplID2} {
		if id == "" {
			continue
		}
		for _, name := range []string{id, s.HistoryAliases[id]} {
			if i := slices.Index(s.Histories, name); i >= 0 {
				return i, name
			}
		}
	}
	return -1, p.ReplID
}
