package lock

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
	c := Candidate{ID: id, Tended: true, Status: redis.Status{RunID: "run-" + id, Keys: 1, Priority: 100, LinkUp: true,
		Position: redis.Position{Lineage: "l2", Offset: 100}}}
	for _, f := range change {
		f(&c)
	}
	return c
}

func master(c *Candidate)   { c.Master, c.LinkUp = true, false }
func fenced(c *Candidate)   { c.MinReplicas = math.MaxInt32 }
func restart(c *Candidate)  { c.RunID = "run-new" }
func empty(c *Candidate)    { c.Keys = 0 }
func loading(c *Candidate)  { c.Loading = true }
func syncing(c *Candidate)  { c.Syncing = true }
func untended(c *Candidate) { c.Tended = false }

func priority(n int) func(*Candidate)   { return func(c *Candidate) { c.Priority = n } }
func offset(n int64) func(*Candidate)   { return func(c *Candidate) { c.Position.Offset = n } }
func lineage(l string) func(*Candidate) { return func(c *Candidate) { c.Position.Lineage = l } }
func continues(l string) func(*Candidate) {
	return func(c *Candidate) { c.Position.Lineage2 = l }
}

// state is one under which id is the master, whose data went through l0, l1 and l2.
func state(id string) State {
	return State{Chain: []string{"l0", "l1", "l2"}, Master: &Master{Peer: handlers.Peer{ID: id, RunID: "run-" + id, Term: 4}}}
}

func TestRank(t *testing.T) {
	for _, tt := range []struct {
		name  string
		state State
		cs    []Candidate
		want  []string
	}{
		{"nobody of nobody", state("a"), nil, nil},
		{"the incumbent before the freshest", state("a"), []Candidate{replica("b", offset(999)), replica("a", master)}, []string{"a", "b"}},
		{"the incumbent before data, for it may have been emptied", state("a"), []Candidate{replica("b"), replica("a", master, empty)}, []string{"a", "b"}},
		{"the incumbent also when its agent is dead", state("a"), []Candidate{replica("b", offset(999)), replica("a", master, untended)}, []string{"a", "b"}},
		{"a published master that is fenced is no incumbent", state("b"), []Candidate{replica("a", lineage("l2")), replica("b", master, fenced, lineage("l1"))}, []string{"a", "b"}},
		{"a published master that was restarted is no incumbent", state("b"), []Candidate{replica("a"), replica("b", master, restart)}, []string{"a", "b"}},
		{"another member under the published run id is no incumbent", state("b"),
			[]Candidate{replica("a"), replica("c", master, func(c *Candidate) { c.RunID = "run-b" })}, []string{"a", "c"}},
		{"data before no data", state("z"), []Candidate{replica("a", empty, offset(999)), replica("b", lineage("foreign"))}, []string{"b", "a"}},
		{"the newest lineage before the furthest offset", state("z"), []Candidate{replica("a", lineage("l1"), offset(999)), replica("b")}, []string{"b", "a"}},
		{"the newest lineage before the published master", state("a"), []Candidate{replica("a", lineage("l1")), replica("b")}, []string{"b", "a"}},
		{"a lineage that is not in the chain comes last", state("z"), []Candidate{replica("a", lineage("foreign"), offset(999)), replica("b", lineage("l0"))}, []string{"b", "a"}},
		{"a lineage that continues one of the chain is as new as that", state("z"),
			[]Candidate{replica("a", lineage("l0")), replica("b", lineage("own"), continues("l1"))}, []string{"b", "a"}},
		{"the published master before a further offset", state("b"), []Candidate{replica("a", offset(999)), replica("b")}, []string{"b", "a"}},
		{"a published master without data has nothing to be preferred for", state("b"), []Candidate{replica("a", empty, offset(100)), replica("b", empty, offset(50))}, []string{"a", "b"}},
		{"within a lineage the furthest offset", state("z"), []Candidate{replica("a", offset(5)), replica("b", offset(7)), replica("c", offset(6))}, []string{"b", "c", "a"}},
		{"offset before priority", state("z"), []Candidate{replica("a", priority(1)), replica("b", offset(101))}, []string{"b", "a"}},
		{"between lineages offsets say nothing", state("z"),
			[]Candidate{replica("a", lineage("x"), offset(1)), replica("b", lineage("y"), offset(999))}, []string{"a", "b"}},
		{"the lower priority, as Redis has it", state("z"), []Candidate{replica("a", priority(100)), replica("b", priority(99))}, []string{"b", "a"}},
		{"at last the id", state("z"), []Candidate{replica("c"), replica("a"), replica("b")}, []string{"a", "b", "c"}},
		{"before anything was published the rest decides", State{}, []Candidate{replica("a"), replica("b", offset(101))}, []string{"b", "a"}},
		{"priority 0 never leads", state("z"), []Candidate{replica("a", priority(0), offset(999)), replica("b")}, []string{"b"}},
		{"who is loading or syncing does not lead", state("a"), []Candidate{replica("a", master, loading), replica("b", syncing), replica("c", empty)}, []string{"c"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for range 2 { // the order in which they answered does not matter
				var got []string
				for _, c := range Rank(tt.cs, tt.state) {
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
	Rank(in, State{})
	if d := cmp.Diff(want, in); d != "" {
		t.Error(d)
	}
}
