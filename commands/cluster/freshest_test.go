package cluster

import (
	"testing"

	"resec/handlers"
	"resec/handlers/redis"
)

func TestFreshest(t *testing.T) {
	for _, tt := range []struct {
		name   string
		state  State
		own    Candidate
		others []Candidate
		want   string // empty: no other has more
	}{
		{"no candidate", ledBy("z"), replica("a"), nil, ""},
		{"a higher offset", ledBy("z"), replica("a"), []Candidate{replica("b", offset(101))}, "b"},
		{"not the same offset, whatever the priority and the id", ledBy("z"), replica("b"), []Candidate{replica("a", priority(1))}, ""},
		{"the highest offset", ledBy("z"), replica("a"), []Candidate{replica("b", offset(101)), replica("c", offset(102))}, "c"},
		{"a newer history", ledBy("z"), replica("a", history("l1"), offset(999)), []Candidate{replica("b", offset(1))}, "b"},
		{"not an older one", ledBy("z"), replica("a"), []Candidate{replica("b", history("l1"), offset(999))}, ""},
		{"data, if we have none", ledBy("z"), replica("a", empty), []Candidate{replica("b", offset(1))}, "b"},
		{"not an ineligible one", ledBy("z"), replica("a"), []Candidate{replica("b", offset(999), restart)}, ""},
		{"a further offset in an unpublished replication ID", ledBy("z"), replica("b"),
			[]Candidate{replica("a", history("own"), continues("l2"), offset(101))}, "a"},
		{"of unknown histories the published master's, after a restart of all", allRestarted("b"), replica("a", history("x"), keys(9)),
			[]Candidate{replica("b", history("y"), keys(1))}, "b"},
		{"then the one with the most keys", allRestarted("z"), replica("a", history("x"), keys(8)),
			[]Candidate{replica("b", history("y"), keys(9))}, "b"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			best, found := Freshest(tt.own, tt.others, tt.state, eligibilityOf(tt.state))
			if best.ID != tt.want || found != (tt.want != "") {
				t.Fatalf("got %q, %t", best.ID, found)
			}
			if found { // the member that gets the lock does not transfer it back
				if back, again := Freshest(best, append(tt.others, tt.own), tt.state, eligibilityOf(tt.state)); again &&
					back.ID == tt.own.ID {
					t.Error("they transfer the lock to and fro")
				}
			}
		})
	}
}

func TestComparableOffset(t *testing.T) {
	branched := redis.Position{ReplID: "b", ReplID2: "a", ReplID2EndOffset: 100, Offset: 150}
	for _, tt := range []struct {
		p       redis.Position
		history string
		want    int64
	}{
		{branched, "b", 150}, {branched, "a", 99}, {redis.Position{ReplID: "b", ReplID2: "a", Offset: 150}, "a", 150},
		{redis.Position{ReplID: "b", ReplID2: "a", ReplID2EndOffset: 200, Offset: 150}, "a", 150},
	} {
		if got := comparableOffset(tt.p, tt.history); got != tt.want {
			t.Errorf("the offset of %+v in %s is %d, want %d", tt.p, tt.history, got, tt.want)
		}
	}
}

// An aliased run whose replication ID is unknown ranks by the history that it continues.
func TestRank_AliasedRuns(t *testing.T) {
	known := redis.Position{ReplID: "old", Offset: 100}
	s := State{Master: &Master{Peer: handlers.Peer{ID: "m", RunID: "other"}}, Histories: []string{"older", "old"}}
	source := Candidate{ID: "source",
		Status: redis.Status{RunID: "run", Keys: 11, Priority: 100, Position: redis.Position{ReplID: "unknown", Offset: 110}}}
	other := Candidate{ID: "other", Status: redis.Status{RunID: "other", Keys: 10, Priority: 100, Position: known}}
	if got := Rank([]Candidate{source, other}, s, AnyMember); got[0].ID != "other" {
		t.Errorf("%s ranks first although its history is unknown", got[0].ID)
	}
	before := redis.Status{RunID: "run", Position: redis.Position{ReplID: "new", ReplID2: "old", Offset: 110}}
	ours := Candidate{ID: "ours",
		Status: redis.Status{RunID: "ours", Keys: 1, Priority: 100, Position: redis.Position{ReplID: "aof", Offset: 7}}}
	aliased := s.AliasRuns(before, ours.Status)
	if got := Rank([]Candidate{source, other}, aliased, AnyMember); got[0].ID != "source" {
		t.Errorf("%s ranks before the aliased run, which holds more", got[0].ID)
	}
	if _, more := Freshest(other, []Candidate{source}, aliased, AnyMember); !more {
		t.Error("the aliased run is not found to hold more")
	}
	if got := Rank([]Candidate{ours, other}, aliased, AnyMember); got[0].ID != "other" {
		t.Errorf("%s ranks first for data that it has not caught up with", got[0].ID)
	}
	ours.Position = redis.Position{ReplID: "promoted", ReplID2: "aof", Offset: 7}
	if got := Rank([]Candidate{ours, other}, aliased, AnyMember); got[0].ID != "other" {
		t.Errorf("once promoted, %s ranks first for data that it has not caught up with", got[0].ID)
	}
	ours.Position = redis.Position{ReplID: "unknown", Offset: 120}
	if got := Rank([]Candidate{other, ours}, aliased.AliasRuns(other.Status, ours.Status), AnyMember); got[0].ID != "ours" {
		t.Errorf("%s ranks before the run that has caught up once and is aliased again", got[0].ID)
	}
	if got := Rank([]Candidate{other, ours}, aliased, AnyMember); got[0].ID != "ours" {
		t.Errorf("%s ranks before the run that has caught up", got[0].ID)
	}
	if again := aliased.AliasRuns(source.Status,
		redis.Status{RunID: "third", Position: known}); again.HistoryAliases["third"] != "old" {
		t.Errorf("an aliased run is no source: %v", again.HistoryAliases)
	}
	published := aliased.WithMaster(Master{Peer: handlers.Peer{ID: "source", RunID: "run"}}, source.Position)
	if at, _ := published.historyIndex(known); at != 1 {
		t.Errorf("the histories began again: %v", published.Histories)
	}
	if again := s.AliasRuns(redis.Status{RunID: "run", Position: redis.Position{ReplID: "unrelated"}},
		ours.Status); again.HistoryAliases != nil {
		t.Errorf("unrelated data are aliased: %v", again.HistoryAliases)
	}
}

// A member that may never lead counts for its data, if any member may lead: whoever leads catches up from it.
func TestFreshest_OfOneThatNeverLeads(t *testing.T) {
	s := ledBy("z")
	s.Members["a"] = MemberRecord{RunID: "run-before"}
	own := replica("a", history("aof"), keys(9))
	for _, tt := range []struct {
		name   string
		keeper Candidate
		e      Eligibility
		want   string
	}{
		{"newer data", replica("b", priority(0)), AnyMember, "b"},
		{"without data it has none", replica("b", priority(0), empty), AnyMember, ""},
		{"not in another run", replica("b", priority(0), restart), AnyMember, ""},
		{"newer data of one whose agent is dead", replica("b", agentDead), AnyMember, "b"},
		{"newer data, where a command is refused", replica("b", refused), AnyMember, "b"},
	} {
		if got, _ := Freshest(own, []Candidate{tt.keeper}, s, tt.e); got.ID != tt.want {
			t.Errorf("%s: got %q", tt.name, got.ID)
		}
		if got := LacksKept("a", []Candidate{own, tt.keeper}, s); tt.e == AnyMember && got != tt.want {
			t.Errorf("%s: lacks the data of %q", tt.name, got)
		}
	}
	if got, _ := Freshest(replica("a", offset(100)), []Candidate{replica("b", priority(0), offset(101))}, ledBy("z"), RecordedOnly); got.ID != "b" {
		t.Errorf("in a recorded election the newer data are those of %q", got.ID)
	}
	if got, _ := Freshest(replica("a", offset(100)), []Candidate{replica("b", priority(0), offset(100))}, ledBy("z"), RecordedOnly); got.ID != "" {
		t.Errorf("%q has no newer data", got.ID)
	}
	level := replica("a", offset(100))
	if got := LacksKept("a", []Candidate{level, replica("b", priority(0))}, s); got != "" {
		t.Errorf("it has caught up, and lacks the data of %q", got)
	}
	if got := LacksKept("a", []Candidate{own, replica("b")}, s); got != "" {
		t.Errorf("%q may lead itself", got)
	}
}

// A member that denies a promotion, and has newer data than all others, holds them up: every view says so.
func TestHeldUpReason(t *testing.T) {
	s := ledBy("z")
	s.Members["a"] = MemberRecord{RunID: "run-before"}
	own := replica("a", history("aof"), keys(9))
	const held = "b, which cannot lead, has newer data; `resec failover -to a -force` leads without them"
	for _, tt := range []struct {
		name   string
		keeper Candidate
		e      Eligibility
		want   string
	}{
		{"it denies a command", replica("b", refused), AnyMember, held},
		{"one with priority 0 can be caught up from", replica("b", priority(0)), AnyMember, ""},
		{"it would refuse a replica", replica("b", priority(0), func(c *Candidate) {
			c.Refusals = []redis.Refusal{{Code: redis.RefusalDisk, Text: "its disk is full", Now: true}}
		}), AnyMember, held},
		{"so can one whose agent is dead", replica("b", agentDead), AnyMember, ""},
		{"in an election of recorded members nobody waits for it", replica("b", refused), RecordedOnly, ""},
	} {
		if got := HeldUpReason("a", []Candidate{own, tt.keeper}, s, tt.e); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}
