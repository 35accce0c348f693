package lock

import (
	"fmt"
	"maps"

	"resec/handlers/redis"
)

// Recorded is a member of the cluster. It may be elected in its recorded run alone: what a restart left of its data is
// known only once it has caught up with the master again.
type Recorded struct {
	RunID   string `json:"run_id"`
	Address string `json:"address"`           // host:port
	Joining bool   `json:"joining,omitempty"` // it has not caught up with the master yet in this run
}

// Foreign tells whether a member's data were never this cluster's: its id is not recorded, and no lineage of its history
// is in the chain. Before the first master nobody is foreign.
func (s State) Foreign(id string, p redis.Position) bool {
	at, _ := base(p, s.Chain)
	_, recorded := s.Record[id]
	return s.Master != nil && !recorded && at < 0
}

// Stranger says why a member with these data may not follow; nothing where it may.
func (s State) Stranger(id string, st redis.Status) string {
	if st.Keys == 0 || s.Overruled(id) || !s.Foreign(id, st.Position) {
		return ""
	}
	return fmt.Sprintf("refused: its %d keys were never this cluster's, and following would wipe them; "+
		"`resec failover -to ID -force` overrides", st.Keys)
}

// Bar says why the record keeps a member from being elected in a run; nothing where it does not.
func (s State) Bar(id, run string) string {
	switch r, recorded := s.Record[id]; {
	case !recorded:
		return "it is not recorded: no master of this cluster has seen it"
	case r.RunID != run:
		return "it was restarted since it was recorded"
	case r.Joining:
		return "it has not caught up with the master"
	}
	return ""
}

// Void tells whether the record binds nobody any more: nobody is recorded; or every recorded member answers, and none
// that had caught up is in its recorded run; or, after quiet enough, no recorded run answers at all.
func (s State) Void(answers []Candidate, quiet bool) bool {
	answered, runs := 0, 0
	for _, c := range answers {
		r, recorded := s.Record[c.ID]
		if !recorded {
			continue
		}
		answered++
		if r.RunID != c.RunID {
			continue
		}
		if runs++; !r.Joining {
			return false
		}
	}
	return answered == len(s.Record) || quiet && runs == 0
}

// Seen is what the master's agent knows of a member.
type Seen struct {
	ID string
	Present
	Listed bool          // in the catalogue
	Status *redis.Status // nil: it did not answer
}

// Enrol is the record as it should be, by what the master saw after it stood at the mark itself. A newcomer is recorded
// before it attaches; a member that was restarted, once it has attached again. Who is neither listed nor present has
// deregistered, or was: it leaves.
func (s State) Enrol(seen []Seen, mark redis.Position) map[string]Recorded {
	out := maps.Clone(s.Record)
	if out == nil {
		out = map[string]Recorded{}
	}
	for _, m := range seen {
		r, recorded := s.Record[m.ID]
		st := m.Status
		switch {
		case s.Master == nil || m.ID == s.Master.ID:
			continue
		case recorded && !m.Listed && m.Session == "":
			delete(out, m.ID)
			continue
		case st == nil || st.RunID != m.RunID: // not the Redis that its agent speaks of
			continue
		}
		attached := !st.Master && st.Of == s.Master.Address
		caughtUp := attached && st.Linked() && st.Position.Lineage == mark.Lineage && st.Position.Offset >= mark.Offset
		switch {
		case !recorded && !attached && s.Stranger(m.ID, *st) != "":
		case !recorded, r.RunID != st.RunID && attached:
			out[m.ID] = Recorded{RunID: st.RunID, Address: m.Address, Joining: !caughtUp}
		case r.RunID == st.RunID:
			out[m.ID] = Recorded{RunID: st.RunID, Address: m.Address, Joining: r.Joining && !caughtUp}
		}
	}
	return out
}
