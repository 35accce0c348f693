package cluster

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"resec/handlers"
	"resec/handlers/redis"
)

// lineages are l<from> … l<to-1>.
func lineages(from, to int) (out []string) {
	for i := from; i < to; i++ {
		out = append(out, fmt.Sprint("l", i))
	}
	return out
}

// at is a position in a lineage that continues another.
func at(lineage, continues string) redis.Position {
	return redis.Position{ReplID: lineage, ReplID2: continues}
}

// The chain, once a master is published.
func TestState_PublishedChain(t *testing.T) {
	for _, tt := range []struct {
		name   string
		before []string
		p      redis.Position
		want   []string
	}{
		{"the first master's history begins it", nil, at("a", ""), []string{"a"}},
		{"both of its ids", nil, at("b", "a"), []string{"a", "b"}},
		{"a promotion goes on from the newest", []string{"a", "b"}, at("c", "b"), []string{"a", "b", "c"}},
		{"or from an older one, and is the newest", []string{"a", "b"}, at("c", "a"), []string{"a", "b", "c"}},
		{"a master that takes its lock again adds nothing", []string{"a", "b"}, at("b", "a"), []string{"a", "b"}},
		{"one of it that is published again is the newest", []string{"a", "x", "b"}, at("x", "a"), []string{"a", "b", "x"}},
		{"one that shares nothing begins a new one", []string{"a", "b"}, at("z", "y"), []string{"y", "z"}},
		{"up to the bound nothing is forgotten", lineages(0, 63), at("l63", "l62"), lineages(0, 64)},
		{"above the bound the oldest is", lineages(0, 64), at("l64", "l63"), lineages(1, 65)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if d := cmp.Diff(tt.want, State{Histories: tt.before}.WithMaster(Master{}, tt.p).Histories); d != "" {
				t.Error(d)
			}
		})
	}
}

// The chain, when somebody is about to lead.
func TestState_Weave(t *testing.T) {
	for _, tt := range []struct {
		name   string
		before []string
		p      redis.Position
		want   map[string]string
	}{
		{"a history of the chain adds nothing", []string{"a", "b"}, at("b", "a"), nil},
		{"nor does a foreign one", []string{"a", "b"}, at("z", "y"), nil},
		{"nor one that continues nothing", []string{"a", "b"}, at("z", ""), nil},
		{"one that continues the newest goes on from there", []string{"a", "b"}, at("c", "b"), map[string]string{"c": "b"}},
		{"one that continues an older one from that", []string{"a", "b"}, at("c", "a"), map[string]string{"c": "a"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := State{Histories: tt.before}
			is := s.AliasHistory(tt.p)
			if d := cmp.Diff(tt.want, is.HistoryAliases, cmpopts.EquateEmpty()); d != "" {
				t.Error(d)
			}
			if d := cmp.Diff(tt.before, is.Histories); d != "" {
				t.Error(d)
			}
			again := is.AliasHistory(at("d", tt.p.ReplID))
			if from := again.HistoryAliases["d"]; tt.want != nil && from != tt.want["c"] {
				t.Errorf("what continues it goes on from %q", from)
			}
		})
	}
}

// A chain is shared by views: what is added to one is not seen in another.
func TestState_SharesNothing(t *testing.T) {
	s := State{Histories: append(make([]string, 0, 8), "a", "b")}
	b, c := s.WithMaster(Master{}, at("x", "b")), s.AliasHistory(at("y", "a"))
	if d := cmp.Diff([][]string{{"a", "b"}, {"a", "b", "x"}, {"a", "b"}}, [][]string{s.Histories, b.Histories, c.Histories}); d != "" {
		t.Error(d)
	}
	if c.AliasHistory(at("z", "b")); len(c.HistoryAliases) != 1 || s.HistoryAliases != nil {
		t.Errorf("woven: %v, %v", s.HistoryAliases, c.HistoryAliases)
	}
}

func TestState_Publish(t *testing.T) {
	me := Master{Peer: handlers.Peer{ID: "b", RunID: "rb", Address: "10.0.0.2:6379"}, Node: "n2", ServiceID: "s", Guard: 1}
	with := func(term uint64) *Master { m := me; m.Term = term; return &m }
	old := &Master{Peer: handlers.Peer{ID: "a", RunID: "ra", Address: "10.0.0.1:6379", Term: 41}}
	record := map[string]MemberRecord{"a": {RunID: "ra"}, "b": {RunID: "rb"}}
	for _, tt := range []struct {
		name   string
		before State
		m      Master
		want   State
	}{
		{"the first term is 1", State{}, me, State{Master: with(1), Histories: []string{"new"}, Version: 1}},
		{"a term is one more than the published one", State{Service: "redis-master", Master: old, Histories: []string{"old"}, Members: record, Why: WhyDead, Version: 1}, me,
			State{Service: "redis-master", Master: with(42), Histories: []string{"old", "new"}, Members: record, Version: 1}},
		{"a higher term that the new master knows of counts", State{Master: old, Histories: []string{"old"}}, *with(99), State{Master: with(100), Histories: []string{"old", "new"}, Version: 1}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := at("new", "")
			if tt.before.Histories != nil {
				p = at("new", "old")
			}
			if d := cmp.Diff(tt.want, tt.before.WithMaster(tt.m, p)); d != "" {
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
	s := State{Service: "redis-master", Histories: []string{"l"}, Why: "dead", Version: 1,
		Members: map[string]MemberRecord{"a": {RunID: "r", Address: "10.0.0.1:6379"}, "b": {RunID: "q", Address: "10.0.0.2:6379", CatchingUp: true}},
		Master:  &Master{Peer: handlers.Peer{ID: "a", RunID: "r", Address: "10.0.0.1:6379", Term: 7}, Node: "n", ServiceID: "s", Guard: 2, ForceFollow: []string{"b"}}}
	want := `{"service":"redis-master","master":{"id":"a","run_id":"r","address":"10.0.0.1:6379","term":7,"node":"n","service_id":"s","guard":2,"max_lag":0,"overrule":["b"]},` +
		`"chain":["l"],"record":{"a":{"run_id":"r","address":"10.0.0.1:6379"},"b":{"run_id":"q","address":"10.0.0.2:6379","joining":true}},"why":"dead","version":1}`
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
