package cluster

import (
	"math"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"resec/handlers"
	"resec/handlers/redis"
)

// replica is a candidate that may lead: its data belong to history l2, up to offset 100.
func replica(id string, change ...func(*Candidate)) Candidate {
	c := Candidate{ID: id, AgentAlive: true, Status: redis.Status{RunID: "run-" + id, Keys: 1, Priority: 100, LinkUp: true,
		Position: redis.Position{ReplID: "l2", Offset: 100}}}
	for _, f := range change {
		f(&c)
	}
	return c
}

func version(v string) func(*Candidate) { return func(c *Candidate) { c.Version = v } }

func keys(n int64) func(*Candidate) { return func(c *Candidate) { c.Keys = n } }
func master(c *Candidate)           { c.Master, c.LinkUp = true, false }
func fenced(c *Candidate)           { c.MinReplicas = math.MaxInt32 }
func restart(c *Candidate)          { c.RunID = "run-new" }
func empty(c *Candidate)            { c.Keys = 0 }
func loading(c *Candidate)          { c.Loading = true }
func syncing(c *Candidate)          { c.Syncing = true }
func agentDead(c *Candidate)        { c.AgentAlive = false }
func wrongAddress(c *Candidate)     { c.WrongAddress = true }

func full(c *Candidate) {
	c.Refusals = []redis.Refusal{{Code: redis.RefusalMemory, Text: "its memory is full", Now: true}}
}
func inMaintenance(c *Candidate) { c.Hidden = "the node's check is critical" }
func nearlyFull(c *Candidate) {
	c.Refusals = []redis.Refusal{{Code: redis.RefusalMemory, Text: "its memory is nearly full"}}
}

func priority(n int) func(*Candidate)   { return func(c *Candidate) { c.Priority = n } }
func refused(c *Candidate)              { c.Refused = "its ACL denies REPLICAOF to resec's user" }
func offset(n int64) func(*Candidate)   { return func(c *Candidate) { c.Position.Offset = n } }
func history(l string) func(*Candidate) { return func(c *Candidate) { c.Position.ReplID = l } }
func continues(l string) func(*Candidate) {
	return func(c *Candidate) { c.Position.ReplID2 = l }
}

// ledBy is a state in which id is the master. The data went through l0, l1 and l2.
func ledBy(id string) State {
	s := State{Histories: []string{"l0", "l1", "l2"}, Master: &Master{Peer: handlers.Peer{ID: id, RunID: "run-" + id, Term: 4}},
		Members: map[string]MemberRecord{}}
	for _, id := range []string{"a", "b", "c"} {
		s.Members[id] = MemberRecord{RunID: "run-" + id}
	}
	return s
}

// allRestarted is such a state in which all members were restarted, so that only their data count.
func allRestarted(id string) State {
	s := ledBy(id)
	for id := range s.Members {
		s.Members[id] = MemberRecord{RunID: "run-before"}
	}
	return s
}

// eligibilityOf is AnyMember for the states of allRestarted.
func eligibilityOf(s State) Eligibility {
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
		{"no candidate", ledBy("a"), nil, nil},
		{"the older version of the same data", ledBy("x"), []Candidate{replica("a", version("8.0.2")), replica("b", version("7.0.15"))},
			[]string{"b", "a"}},
		{"unless the newer one has more", ledBy("x"),
			[]Candidate{replica("a", version("8.0.2"), offset(101)), replica("b", version("7.0.15"))}, []string{"a", "b"}},
		{"patch numbers do not count", ledBy("x"), []Candidate{replica("a", version("7.0.15")), replica("b", version("7.0.2"))},
			[]string{"a", "b"}},
		{"data without stream errors come first", allRestarted("a"),
			[]Candidate{replica("b", offset(999), func(c *Candidate) { c.StreamErrors = 1 }), replica("c")}, []string{"c", "b"}},
		{"a replication ID that was not published is no newer than what it continues",
			allRestarted("a").AliasHistory(redis.Position{ReplID: "x", ReplID2: "l2"}),
			[]Candidate{replica("a", history("x"), continues("l2"), offset(90)), replica("b", history("y"), continues("l2"), offset(100))},
			[]string{"b", "a"}},
		{"the incumbent before a higher offset", ledBy("a"), []Candidate{replica("b", offset(999)), replica("a", master)},
			[]string{"a", "b"}},
		{"an empty incumbent before data, because it may have been flushed", ledBy("a"),
			[]Candidate{replica("b"), replica("a", master, empty)}, []string{"a", "b"}},
		{"the incumbent also when its agent is dead", ledBy("a"),
			[]Candidate{replica("b", offset(999)), replica("a", master, agentDead)}, []string{"a", "b"}},
		{"a published master that is fenced is no incumbent", ledBy("b"),
			[]Candidate{replica("a", history("l2")), replica("b", master, fenced, history("l1"))}, []string{"a", "b"}},
		{"a restarted published master may not lead", ledBy("b"), []Candidate{replica("a"), replica("b", master, restart)},
			[]string{"a"}},
		{"an unrecorded member may not lead", ledBy("b"), []Candidate{replica("a"), replica("x", offset(999))}, []string{"a"}},
		{"another member under the published run id is no incumbent", ledBy("b"),
			[]Candidate{replica("a"), replica("c", master, func(c *Candidate) { c.RunID = "run-b" })}, []string{"a"}},
		{"data before no data", ledBy("z"), []Candidate{replica("a", empty, offset(999)), replica("b", history("unknown"))},
			[]string{"b", "a"}},
		{"the newest history before the highest offset", ledBy("z"),
			[]Candidate{replica("a", history("l1"), offset(999)), replica("b")}, []string{"b", "a"}},
		{"the newest history before the published master", ledBy("a"), []Candidate{replica("a", history("l1")), replica("b")},
			[]string{"b", "a"}},
		{"an unknown history comes last", ledBy("z"),
			[]Candidate{replica("a", history("unknown"), offset(999)), replica("b", history("l0"))}, []string{"b", "a"}},
		{"a replication ID that continues a history is as new as that", ledBy("z"),
			[]Candidate{replica("a", history("l0")), replica("b", history("own"), continues("l1"))}, []string{"b", "a"}},
		{"of unknown histories the published master's, after a restart of all", allRestarted("b"),
			[]Candidate{replica("a", history("x"), keys(9)), replica("b", restart, history("y"))}, []string{"b", "a"}},
		{"within one history the offset before the published master, because its dump may be older", allRestarted("b"),
			[]Candidate{replica("a", restart, offset(999)), replica("b", restart)}, []string{"a", "b"}},
		{"of equal offsets the published master", allRestarted("b"), []Candidate{replica("a", restart), replica("b", restart)},
			[]string{"b", "a"}},
		{"an empty published master is not preferred", allRestarted("b"),
			[]Candidate{replica("a", restart, history("x")), replica("b", restart, empty)}, []string{"a", "b"}},
		{"then the one with the most keys", allRestarted("z"),
			[]Candidate{replica("a", restart, history("x"), keys(8)), replica("b", restart, history("y"), keys(9))}, []string{"b", "a"}},
		{"within one history the highest offset", ledBy("z"),
			[]Candidate{replica("a", offset(5)), replica("b", offset(7)), replica("c", offset(6))}, []string{"b", "c", "a"}},
		{"offset before priority", ledBy("z"), []Candidate{replica("a", priority(1)), replica("b", offset(101))}, []string{"b", "a"}},
		{"offsets of two histories do not compare", ledBy("z"),
			[]Candidate{replica("a", history("x"), offset(1)), replica("b", history("y"), offset(999))}, []string{"a", "b"}},
		{"of level ones the one that would take writes, before the priority", ledBy("z"),
			[]Candidate{replica("a", full, priority(1)), replica("b")}, []string{"b", "a"}},
		{"newer data before one that would take writes", ledBy("z"), []Candidate{replica("a"), replica("b", full, offset(101))},
			[]string{"b", "a"}},
		{"where all would refuse writes, as if none did", ledBy("z"), []Candidate{replica("a", full), replica("b", full)},
			[]string{"a", "b"}},
		{"one that is nearly full, too", ledBy("z"), []Candidate{replica("a", nearlyFull), replica("b")}, []string{"b", "a"}},
		{"one in maintenance last", ledBy("z"), []Candidate{replica("a", inMaintenance), replica("b")}, []string{"b", "a"}},
		{"the incumbent although it refuses writes", ledBy("a"), []Candidate{replica("b"), replica("a", master, full)},
			[]string{"a", "b"}},
		{"the lower priority, as in Redis", ledBy("z"), []Candidate{replica("a", priority(100)), replica("b", priority(99))},
			[]string{"b", "a"}},
		{"one with a wrong address last, although it has a few bytes more", ledBy("z"),
			[]Candidate{replica("a", wrongAddress, offset(101)), replica("b"), replica("c", offset(90))}, []string{"b", "c", "a"}},
		{"but before one without data", ledBy("z"), []Candidate{replica("a", wrongAddress), replica("b", empty)}, []string{"a", "b"}},
		{"and it leads if no other may", ledBy("z"), []Candidate{replica("a", wrongAddress), replica("b", priority(0))}, []string{"a"}},
		{"if all were restarted its data count", allRestarted("z"),
			[]Candidate{replica("a", wrongAddress, restart, offset(101)), replica("b", restart)}, []string{"a", "b"}},
		{"then the id", ledBy("z"), []Candidate{replica("c"), replica("a"), replica("b")}, []string{"a", "b", "c"}},
		{"unrelated data do not lead even if all members were restarted", allRestarted("z"),
			[]Candidate{replica("x", history("unknown"), keys(99)), replica("a")}, []string{"a"}},
		{"nor if they are all that is left", allRestarted("z"), []Candidate{replica("x", history("unknown"))}, nil},
		{"an unpublished replication ID counts as the history that it continues", ledBy("z"),
			[]Candidate{replica("a", history("own"), continues("l2"), offset(100)), replica("b", offset(101))}, []string{"b", "a"}},
		{"before the first master the offset decides", State{}, []Candidate{replica("a"), replica("b", offset(101))},
			[]string{"b", "a"}},
		{"the incumbent leads with priority 0, too", ledBy("a"), []Candidate{replica("a", master, priority(0)), replica("b")},
			[]string{"a", "b"}},
		{"priority 0 never leads", ledBy("z"), []Candidate{replica("a", priority(0), offset(999)), replica("b")}, []string{"b"}},
		{"a loading or syncing candidate does not lead", ledBy("a"),
			[]Candidate{replica("a", master, loading), replica("b", syncing), replica("c", empty)}, []string{"c"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for range 2 { // the order of the answers does not matter
				var got []string
				for _, c := range Rank(tt.cs, tt.state, eligibilityOf(tt.state)) {
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
