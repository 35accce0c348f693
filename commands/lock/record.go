package lock

import (
	"fmt"
	"maps"
	"slices"

	"resec/handlers/redis"
)

// Recorded is a member of the cluster. It may be elected in its recorded run alone: what a restart left of its data is
// known only once it has caught up with the master again.
type Recorded struct {
	RunID   string `json:"run_id"`
	Address string `json:"address"`           // host:port
	Joining bool   `json:"joining,omitempty"` // it has not caught up with the master yet in this run
}

// formerMax bounds how many of those that left are known.
const formerMax = 64

// Foreign tells whether a member's data were never this cluster's: its id is not recorded, nor was it before it left, and
// no lineage of its history is in the chain. Before the first master nobody is foreign.
func (s State) Foreign(id string, p redis.Position) bool {
	at, _ := base(p, s.Chain)
	_, recorded := s.Record[id]
	return s.Master != nil && !recorded && !slices.Contains(s.Former, id) && at < 0
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
// that had caught up is in its recorded run; or, after quiet enough, no recorded run answers at all. Not while one of them
// is loading: what it holds will be known soon.
func (s State) Void(answers []Candidate, quiet bool) bool {
	answered, runs := 0, 0
	for _, c := range answers {
		r, recorded := s.Record[c.ID]
		if !recorded {
			continue
		}
		if answered++; c.Loading {
			return false
		}
		if r.RunID != c.RunID {
			continue
		}
		if runs++; !r.Joining {
			return false
		}
	}
	return answered == len(s.Record) || quiet && runs == 0
}

// Lead is the state with its master recorded.
func (s State) Lead() State {
	record := map[string]Recorded{}
	maps.Copy(record, s.Record)
	record[s.Master.ID] = Recorded{RunID: s.Master.RunID, Address: s.Master.Address}
	s.Record = record
	return s
}

// Seen is what the master's agent knows of a member.
type Seen struct {
	ID string
	Present
	Listed bool          // in the catalogue
	Status *redis.Status // nil: it did not answer
}

// Enrol is the state with the record as it should be, by what the master saw after it stood at the mark itself. A
// newcomer is recorded before it attaches; a member that was restarted, once it has attached again. Who is neither
// listed nor present has deregistered, or was: it leaves, and is known as one that was here, for its file tells no
// lineage if it is an AOF. The master's own lineage is that of the mark: Redis begins a new one with its first replica, and
// when it has had none for long.
func (s State) Enrol(seen []Seen, mark redis.Position) State {
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
			s.Former = append(slices.Clone(s.Former), m.ID)
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
	s.Record = out
	if s.Master != nil && mark.Lineage != "" && !slices.Contains(s.Chain, mark.Lineage) {
		s.Chain = extend(s.Chain, mark.Lineage)
	}
	s.Former = slices.DeleteFunc(slices.Clone(s.Former), func(id string) bool { _, back := out[id]; return back })
	s.Former = s.Former[max(0, len(s.Former)-formerMax):]
	return s
}
