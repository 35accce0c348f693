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
	Level   uint64 `json:"level,omitempty"`   // the last term in which it was seen level with the master
}

// formerMax bounds how many of those that left are known.
const formerMax = 64

// Foreign tells whether a member's data were never this cluster's: its id is not recorded, nor was it before it left, and
// no lineage of its history is in the chain. Before the first master nobody is foreign.
func (s State) Foreign(id string, p redis.Position) bool {
	at, _ := s.base(p)
	_, recorded := s.Record[id]
	return s.Master != nil && !recorded && !slices.Contains(s.Former, id) && at < 0
}

// Stranger says why a member with these data may not follow; nothing where it may.
func (s State) Stranger(id string, st redis.Status) string {
	if st.Keys == 0 || s.Overruled(id) || !s.Foreign(id, s.Continued(st)) {
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

// Binding is whom the record lets lead.
type Binding int

// The bindings.
const (
	Bound Binding = iota // who has caught up, in its recorded run
	Void                 // every member: all answer, and none that had caught up is in its recorded run
	Quiet                // who was level with the last master, and has data: no recorded run has answered for long enough (a cold start)
)

// Binds tells whom the record lets lead, by who answers. It binds nobody where nobody is recorded. It binds while one of
// the members is loading: what it holds will be known soon.
func (s State) Binds(answers []Candidate, quiet bool) Binding {
	answered, runs := 0, 0
	for _, c := range answers {
		r, recorded := s.Record[c.ID]
		if !recorded {
			continue
		}
		if answered++; c.Loading {
			return Bound
		}
		if r.RunID != c.RunID {
			continue
		}
		if runs++; !r.Joining {
			return Bound
		}
	}
	switch {
	case answered == len(s.Record):
		return Void
	case quiet && runs == 0:
		return Quiet
	}
	return Bound
}

// barQuietly is Bar after a cold start in which not all members answer. Who is not there may hold what this one lost with
// its disk, or never had: it would be wiped when it comes back.
func (s State) barQuietly(id string, st redis.Status) string {
	switch r := s.Record[id]; {
	case st.Keys == 0:
		return "it is empty, and members that do not answer may not be; `resec failover -to ID -force` overrides"
	case s.Master != nil && id != s.Master.ID && (r.Joining || r.Level != s.Master.Term):
		return "it was not level with the last master, and that does not answer; `resec failover -to ID -force` overrides"
	}
	return ""
}

// Lead is the state with its master recorded.
func (s State) Lead() State {
	record := map[string]Recorded{}
	maps.Copy(record, s.Record)
	record[s.Master.ID] = s.leader()
	s.Record = record
	return s
}

// leader is the master as the record has it.
func (s State) leader() Recorded {
	return Recorded{RunID: s.Master.RunID, Address: s.Master.Address, Level: s.Master.Term}
}

// Seen is what the master's agent knows of a member.
type Seen struct {
	ID string
	Present
	Listed bool          // in the catalogue
	Joined bool          // it replicates from the master, with or without an agent
	Status *redis.Status // nil: it did not answer
}

// Enrol is the state with the record as it should be, by what the master saw after it stood at the mark itself. A
// newcomer is recorded before it attaches; a member that was restarted, once it has attached again. Who is neither
// listed nor present has deregistered, or was: it leaves, and is known as one that was here, for its file tells no
// lineage if it is an AOF. While it replicates on it stays, for the guard counts it. The master's own lineage is that of the mark: Redis begins a new one with its first replica, and
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
		case recorded && m.Joined && m.Session == "":
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
		now := Recorded{RunID: st.RunID, Address: m.Address, Joining: !caughtUp}
		switch {
		case !recorded && !attached && s.Stranger(m.ID, *st) != "", recorded && r.RunID != st.RunID && !attached:
			continue
		case recorded && r.RunID == st.RunID:
			now.Joining, now.Level = r.Joining && !caughtUp, r.Level
		}
		if caughtUp {
			now.Level = s.Master.Term
			s = s.struckOff(m.ID)
		}
		out[m.ID] = now
	}
	if _, recorded := out[s.leads()]; s.Master != nil && !recorded { // somebody has changed the state by hand
		out[s.Master.ID] = s.leader()
	}
	s.Record = out
	if s.Master != nil && mark.Lineage != "" && !slices.Contains(s.Chain, mark.Lineage) {
		s.Chain = extend(s.Chain, mark.Lineage)
	}
	s.Former = slices.DeleteFunc(slices.Clone(s.Former), func(id string) bool { _, back := out[id]; return back })
	s.Former = s.Former[max(0, len(s.Former)-formerMax):]
	return s
}

// leads is the master's id.
func (s State) leads() string {
	if s.Master == nil {
		return ""
	}
	return s.Master.ID
}

// struckOff is the state in which an operator's force for a member, which follows now, is used up.
func (s State) struckOff(id string) State {
	if s.Overruled(id) {
		m := *s.Master
		m.Overrule = slices.DeleteFunc(slices.Clone(m.Overrule), func(o string) bool { return o == id })
		s.Master = &m
	}
	return s
}
