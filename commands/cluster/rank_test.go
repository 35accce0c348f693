package cluster

import (
	"math"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"resec/handlers"
	"resec/handlers/redis"
)

// replica is a candidate that may lead: its data are those of lineage l2, up to offset 100.
func replica(id string, change ...func(*Candidate)) Candidate {
	c := Candidate{ID: id, AgentAlive: true, Status: redis.Status{RunID: "run-" + id, Keys: 1, Priority: 100, LinkUp: true,
		Position: redis.Position{ReplID: "l2", Offset: 100}}}
	for _, f := range change {
		f(&c)
	}
	return c
}

func keys(n int64) func(*Candidate) { return func(c *Candidate) { c.Keys = n } }
func master(c *Candidate)           { c.Master, c.LinkUp = true, false }
func fenced(c *Candidate)           { c.MinReplicas = math.MaxInt32 }
func restart(c *Candidate)          { c.RunID = "run-new" }
func empty(c *Candidate)            { c.Keys = 0 }
func loading(c *Candidate)          { c.Loading = true }
func syncing(c *Candidate)          { c.Syncing = true }
func untended(c *Candidate)         { c.AgentAlive = false }

func priority(n int) func(*Candidate)   { return func(c *Candidate) { c.Priority = n } }
func offset(n int64) func(*Candidate)   { return func(c *Candidate) { c.Position.Offset = n } }
func lineage(l string) func(*Candidate) { return func(c *Candidate) { c.Position.ReplID = l } }
func continues(l string) func(*Candidate) {
	return func(c *Candidate) { c.Position.ReplID2 = l }
}

// state is one under which id is the master, whose data went through l0, l1 and l2.
func state(id string) State {
	s := State{Histories: []string{"l0", "l1", "l2"}, Master: &Master{Peer: handlers.Peer{ID: id, RunID: "run-" + id, Term: 4}}, Members: map[string]MemberRecord{}}
	for _, id := range []string{"a", "b", "c"} {
		s.Members[id] = MemberRecord{RunID: "run-" + id}
	}
	return s
}

// void is a state of which all members were restarted, so that only what they hold counts.
func void(id string) State {
	s := state(id)
	for id := range s.Members {
		s.Members[id] = MemberRecord{RunID: "run-before"}
	}
	return s
}

// binding is Void for the states of void.
func binding(s State) Eligibility {
	if s.Members["a"].RunID != "run-a" {
		return AnyMember
	}
	return RecordedOnly
}

func TestRank(t *testing.T) {
	for _, tt := range []struct {
		name  string
		state State
		cs    []Candidate
		want  []string
	}{
		{"nobody of nobody", state("a"), nil, nil},
		{"who was about to lead, and was not published, is no newer for that", void("a").AliasHistory(redis.Position{ReplID: "x", ReplID2: "l2"}),
			[]Candidate{replica("a", lineage("x"), continues("l2"), offset(90)), replica("b", lineage("y"), continues("l2"), offset(100))}, []string{"b", "a"}},
		{"the incumbent before the freshest", state("a"), []Candidate{replica("b", offset(999)), replica("a", master)}, []string{"a", "b"}},
		{"the incumbent before data, for it may have been emptied", state("a"), []Candidate{replica("b"), replica("a", master, empty)}, []string{"a", "b"}},
		{"the incumbent also when its agent is dead", state("a"), []Candidate{replica("b", offset(999)), replica("a", master, untended)}, []string{"a", "b"}},
		{"a published master that is fenced is no incumbent", state("b"), []Candidate{replica("a", lineage("l2")), replica("b", master, fenced, lineage("l1"))}, []string{"a", "b"}},
		{"a published master that was restarted may not lead", state("b"), []Candidate{replica("a"), replica("b", master, restart)}, []string{"a"}},
		{"nor who is not recorded", state("b"), []Candidate{replica("a"), replica("x", offset(999))}, []string{"a"}},
		{"another member under the published run id is no incumbent", state("b"),
			[]Candidate{replica("a"), replica("c", master, func(c *Candidate) { c.RunID = "run-b" })}, []string{"a"}},
		{"data before no data", state("z"), []Candidate{replica("a", empty, offset(999)), replica("b", lineage("foreign"))}, []string{"b", "a"}},
		{"the newest lineage before the furthest offset", state("z"), []Candidate{replica("a", lineage("l1"), offset(999)), replica("b")}, []string{"b", "a"}},
		{"the newest lineage before the published master", state("a"), []Candidate{replica("a", lineage("l1")), replica("b")}, []string{"b", "a"}},
		{"a lineage that is not in the chain comes last", state("z"), []Candidate{replica("a", lineage("foreign"), offset(999)), replica("b", lineage("l0"))}, []string{"b", "a"}},
		{"a lineage that continues one of the chain is as new as that", state("z"),
			[]Candidate{replica("a", lineage("l0")), replica("b", lineage("own"), continues("l1"))}, []string{"b", "a"}},
		{"after a restart of all, the published master, of those whose lineages say nothing", void("b"),
			[]Candidate{replica("a", lineage("x"), keys(9)), replica("b", restart, lineage("y"))}, []string{"b", "a"}},
		{"not before a further offset in one lineage: its dump may be the older one", void("b"), []Candidate{replica("a", restart, offset(999)), replica("b", restart)}, []string{"a", "b"}},
		{"of equal offsets the published master", void("b"), []Candidate{replica("a", restart), replica("b", restart)}, []string{"b", "a"}},
		{"a published master whose disk was wiped has nothing to be preferred for", void("b"), []Candidate{replica("a", restart, lineage("x")), replica("b", restart, empty)}, []string{"a", "b"}},
		{"then the one with the most keys", void("z"), []Candidate{replica("a", restart, lineage("x"), keys(8)), replica("b", restart, lineage("y"), keys(9))}, []string{"b", "a"}},
		{"within a lineage the furthest offset", state("z"), []Candidate{replica("a", offset(5)), replica("b", offset(7)), replica("c", offset(6))}, []string{"b", "c", "a"}},
		{"offset before priority", state("z"), []Candidate{replica("a", priority(1)), replica("b", offset(101))}, []string{"b", "a"}},
		{"between lineages offsets say nothing", state("z"),
			[]Candidate{replica("a", lineage("x"), offset(1)), replica("b", lineage("y"), offset(999))}, []string{"a", "b"}},
		{"the lower priority, as Redis has it", state("z"), []Candidate{replica("a", priority(100)), replica("b", priority(99))}, []string{"b", "a"}},
		{"at last the id", state("z"), []Candidate{replica("c"), replica("a"), replica("b")}, []string{"a", "b", "c"}},
		{"a stranger does not lead even when all members were restarted", void("z"), []Candidate{replica("x", lineage("foreign"), keys(99)), replica("a")}, []string{"a"}},
		{"nor when it is all that is left", void("z"), []Candidate{replica("x", lineage("foreign"))}, nil},
		{"a history that nobody published counts as what it continues", state("z"),
			[]Candidate{replica("a", lineage("own"), continues("l2"), offset(100)), replica("b", offset(101))}, []string{"b", "a"}},
		{"before anything was published the rest decides", State{}, []Candidate{replica("a"), replica("b", offset(101))}, []string{"b", "a"}},
		{"priority 0 never leads", state("z"), []Candidate{replica("a", priority(0), offset(999)), replica("b")}, []string{"b"}},
		{"who is loading or syncing does not lead", state("a"), []Candidate{replica("a", master, loading), replica("b", syncing), replica("c", empty)}, []string{"c"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for range 2 { // the order in which they answered does not matter
				var got []string
				for _, c := range Rank(tt.cs, tt.state, binding(tt.state)) {
					got = append(got, c.ID)
				}
				if d := cmp.Diff(tt.want, got); d != "" {
					t.Error(d)
				}
				slices.Reverse(tt.cs)
			}
		})
	}
}

func TestRank_LeavesItsInputAlone(t *testing.T) {
	in := []Candidate{replica("b", priority(0)), replica("c"), replica("a")}
	want := slices.Clone(in)
	Rank(in, State{}, AnyMember)
	if d := cmp.Diff(want, in); d != "" {
		t.Error(d)
	}
}

func TestFreshest(t *testing.T) {
	for _, tt := range []struct {
		name   string
		state  State
		own    Candidate
		others []Candidate
		want   string // empty: nobody has more
	}{
		{"nobody of nobody", state("z"), replica("a"), nil, ""},
		{"a further offset", state("z"), replica("a"), []Candidate{replica("b", offset(101))}, "b"},
		{"not the same one, whatever the priority and the id", state("z"), replica("b"), []Candidate{replica("a", priority(1))}, ""},
		{"the furthest", state("z"), replica("a"), []Candidate{replica("b", offset(101)), replica("c", offset(102))}, "c"},
		{"a newer lineage", state("z"), replica("a", lineage("l1"), offset(999)), []Candidate{replica("b", offset(1))}, "b"},
		{"not an older one", state("z"), replica("a"), []Candidate{replica("b", lineage("l1"), offset(999))}, ""},
		{"data to none", state("z"), replica("a", empty), []Candidate{replica("b", offset(1))}, "b"},
		{"not who may not lead itself", state("z"), replica("a"), []Candidate{replica("b", offset(999), restart)}, ""},
		{"in a history that nobody published, what it continues", state("z"), replica("b"), []Candidate{replica("a", lineage("own"), continues("l2"), offset(101))}, "a"},
		{"after a restart of all, where lineages say nothing, the published master", void("b"), replica("a", lineage("x"), keys(9)), []Candidate{replica("b", lineage("y"), keys(1))}, "b"},
		{"then the one with the most keys", void("z"), replica("a", lineage("x"), keys(8)), []Candidate{replica("b", lineage("y"), keys(9))}, "b"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			best, found := Freshest(tt.own, tt.others, tt.state, binding(tt.state))
			if best.ID != tt.want || found != (tt.want != "") {
				t.Fatalf("got %q, %t", best.ID, found)
			}
			if found { // and who is passed the lock does not pass it back
				if back, again := Freshest(best, append(tt.others, tt.own), tt.state, binding(tt.state)); again && back.ID == tt.own.ID {
					t.Error("they pass the lock to and fro")
				}
			}
		})
	}
}

func TestWithin(t *testing.T) {
	branched := redis.Position{ReplID: "b", ReplID2: "a", ReplID2EndOffset: 100, Offset: 150}
	for _, tt := range []struct {
		p       redis.Position
		lineage string
		want    int64
	}{
		{branched, "b", 150}, {branched, "a", 99}, {redis.Position{ReplID: "b", ReplID2: "a", Offset: 150}, "a", 150},
		{redis.Position{ReplID: "b", ReplID2: "a", ReplID2EndOffset: 200, Offset: 150}, "a", 150},
	} {
		if got := comparableOffset(tt.p, tt.lineage); got != tt.want {
			t.Errorf("%+v is within %s up to %d, want %d", tt.p, tt.lineage, got, tt.want)
		}
	}
}

// A run that was lent has a history that nobody knows, and which goes on from the chain's: it is worth what it holds.
func TestRank_Lent(t *testing.T) {
	old := redis.Position{ReplID: "old", Offset: 100}
	s := State{Master: &Master{Peer: handlers.Peer{ID: "m", RunID: "gone"}}, Histories: []string{"older", "old"}}
	lender := Candidate{ID: "lender", Status: redis.Status{RunID: "run", Keys: 11, Priority: 100, Position: redis.Position{ReplID: "unknown", Offset: 110}}}
	other := Candidate{ID: "other", Status: redis.Status{RunID: "other", Keys: 10, Priority: 100, Position: old}}
	if got := Rank([]Candidate{lender, other}, s, AnyMember); got[0].ID != "other" {
		t.Errorf("%s ranks first, and nothing tells where its data come from", got[0].ID)
	}
	before := redis.Status{RunID: "run", Position: redis.Position{ReplID: "new", ReplID2: "old", Offset: 110}}
	ours := Candidate{ID: "ours", Status: redis.Status{RunID: "ours", Keys: 1, Priority: 100, Position: redis.Position{ReplID: "aof", Offset: 7}}}
	lent := s.AliasRuns(before, ours.Status)
	if got := Rank([]Candidate{lender, other}, lent, AnyMember); got[0].ID != "lender" {
		t.Errorf("%s ranks before the one that was lent, and holds more", got[0].ID)
	}
	if _, more := Freshest(other, []Candidate{lender}, lent, AnyMember); !more {
		t.Error("what was lent is not seen to hold more")
	}
	if got := Rank([]Candidate{ours, other}, lent, AnyMember); got[0].ID != "other" {
		t.Errorf("%s ranks first for what it was to catch up with, and has not", got[0].ID)
	}
	ours.Position = redis.Position{ReplID: "promoted", ReplID2: "aof", Offset: 7}
	if got := Rank([]Candidate{ours, other}, lent, AnyMember); got[0].ID != "other" {
		t.Errorf("%s ranks first once it is promoted, for what it was to catch up with, and has not", got[0].ID)
	}
	ours.Position = redis.Position{ReplID: "unknown", Offset: 120}
	if got := Rank([]Candidate{other, ours}, lent.AliasRuns(other.Status, ours.Status), AnyMember); got[0].ID != "ours" {
		t.Errorf("%s ranks before the one that has caught up once, and is to catch up from another", got[0].ID)
	}
	if got := Rank([]Candidate{other, ours}, lent, AnyMember); got[0].ID != "ours" {
		t.Errorf("%s ranks before the one that has caught up", got[0].ID)
	}
	if again := lent.AliasRuns(lender.Status, redis.Status{RunID: "third", Position: old}); again.HistoryAliases["third"] != "old" {
		t.Errorf("one that was lent once is not lent again: %v", again.HistoryAliases)
	}
	published := lent.WithMaster(Master{Peer: handlers.Peer{ID: "lender", RunID: "run"}}, lender.Position)
	if at, _ := published.historyIndex(old); at != 1 {
		t.Errorf("the chain was begun anew: %v", published.Histories)
	}
	if again := s.AliasRuns(redis.Status{RunID: "run", Position: redis.Position{ReplID: "strange"}}, ours.Status); again.HistoryAliases != nil {
		t.Errorf("a stranger's data are lent: %v", again.HistoryAliases)
	}
}
