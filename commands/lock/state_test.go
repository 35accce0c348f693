package lock

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"resec/handlers"
)

// lineages are l<from> … l<to-1>.
func lineages(from, to int) (out []string) {
	for i := from; i < to; i++ {
		out = append(out, fmt.Sprint("l", i))
	}
	return out
}

func TestExtend(t *testing.T) {
	for _, tt := range []struct {
		name       string
		chain, add []string
		want       []string
	}{
		{"nothing to nothing", nil, nil, nil},
		{"the newest stands last", []string{"a"}, []string{"b", "c"}, []string{"a", "b", "c"}},
		{"what is known keeps its place", []string{"a", "b"}, []string{"a", "c"}, []string{"a", "b", "c"}},
		{"a lineage given twice is added once", nil, []string{"a", "a"}, []string{"a"}},
		{"no lineage is none", []string{"a"}, []string{""}, []string{"a"}},
		{"up to the bound nothing is forgotten", lineages(0, 63), []string{"l63"}, lineages(0, 64)},
		{"above the bound the oldest is", lineages(0, 64), []string{"l64", "l65"}, lineages(2, 66)},
		{"at the bound what is known forgets nothing", lineages(0, 64), []string{"l0"}, lineages(0, 64)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before := slices.Clone(tt.chain)
			if d := cmp.Diff(tt.want, extend(tt.chain, tt.add...)); d != "" {
				t.Error(d)
			}
			if d := cmp.Diff(before, tt.chain); d != "" {
				t.Errorf("the chain given was changed: %s", d)
			}
		})
	}
}

// A view's chain is shared: what one state adds is not seen in another.
func TestExtend_SharesNothing(t *testing.T) {
	chain := append(make([]string, 0, 8), "a")
	b, c := extend(chain, "b"), extend(chain, "c")
	if d := cmp.Diff([][]string{{"a"}, {"a", "b"}, {"a", "c"}}, [][]string{chain, b, c}); d != "" {
		t.Error(d)
	}
}

func TestState_Publish(t *testing.T) {
	me := Master{Peer: handlers.Peer{ID: "b", RunID: "rb", Address: "10.0.0.2:6379"}, Node: "n2", ServiceID: "s", Guard: 1}
	with := func(term uint64) *Master { m := me; m.Term = term; return &m }
	old := &Master{Peer: handlers.Peer{ID: "a", RunID: "ra", Address: "10.0.0.1:6379", Term: 41}}
	record := map[string]string{"a": "ra", "b": "rb"}
	for _, tt := range []struct {
		name   string
		before State
		m      Master
		want   State
	}{
		{"the first term is 1", State{}, me, State{Master: with(1), Chain: []string{"new"}, Version: 1}},
		{"a term is one more than the published one", State{Service: "redis-master", Master: old, Chain: []string{"l0"}, Record: record, Why: WhyDead, Version: 1}, me,
			State{Service: "redis-master", Master: with(42), Chain: []string{"l0", "new"}, Record: record, Version: 1}},
		{"a higher term that the new master knows of counts", State{Master: old}, *with(99), State{Master: with(100), Chain: []string{"new"}, Version: 1}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if d := cmp.Diff(tt.want, tt.before.Publish(tt.m, "new", "")); d != "" {
				t.Error(d)
			}
			if old.Term != 41 || old.ID != "a" {
				t.Errorf("the published master was changed: %+v", old)
			}
		})
	}
}

func TestState_Term(t *testing.T) {
	if got := (State{}).Term(); got != 0 {
		t.Errorf("before the first: %d, want 0", got)
	}
	if got := (State{Master: &Master{Peer: handlers.Peer{Term: 7}}}).Term(); got != 7 {
		t.Errorf("got %d, want 7", got)
	}
}

// The names stand in Consul, where other versions read them.
func TestState_AsJSON(t *testing.T) {
	s := State{Service: "redis-master", Chain: []string{"l"}, Record: map[string]string{"a": "r"}, Why: "dead", Version: 1,
		Master: &Master{Peer: handlers.Peer{ID: "a", RunID: "r", Address: "10.0.0.1:6379", Term: 7}, Node: "n", ServiceID: "s", Guard: 2}}
	want := `{"service":"redis-master","master":{"id":"a","run_id":"r","address":"10.0.0.1:6379","term":7,"node":"n","service_id":"s","guard":2},` +
		`"chain":["l"],"record":{"a":"r"},"why":"dead","version":1}`
	got, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, string(got)); d != "" {
		t.Error(d)
	}
	var back State
	if err := json.Unmarshal(got, &back); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(s, back); d != "" {
		t.Error(d)
	}
}
