package cluster

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"resec/handlers"
)

func TestState_WithMaster(t *testing.T) {
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
		{"a term is one more than the published one",
			State{Service: "redis-master", Master: old, Histories: []string{"old"}, Members: record, Why: WhyDead, Version: 1}, me,
			State{Service: "redis-master", Master: with(42), Histories: []string{"old", "new"}, Members: record, Version: 1}},
		{"a higher term that the new master knows counts", State{Master: old, Histories: []string{"old"}}, *with(99),
			State{Master: with(100), Histories: []string{"old", "new"}, Version: 1}},
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

// Other versions of the program read these names in Consul.
func TestState_AsJSON(t *testing.T) {
	s := State{Service: "redis-master", Histories: []string{"l"}, Why: "dead", Version: 1,
		Members: map[string]MemberRecord{"a": {RunID: "r", Address: "10.0.0.1:6379"},
			"b": {RunID: "q", Address: "10.0.0.2:6379", CatchingUp: true}},
		Master: &Master{Peer: handlers.Peer{ID: "a", RunID: "r", Address: "10.0.0.1:6379", Term: 7}, Node: "n", ServiceID: "s",
			Guard: 2, ForceFollow: []string{"b"}}}
	want := `{"service":"redis-master","master":{"id":"a","run_id":"r","address":"10.0.0.1:6379","term":7,` +
		`"node":"n","service_id":"s","guard":2,"max_lag":0,"overrule":["b"]},` +
		`"chain":["l"],"record":{"a":{"run_id":"r","address":"10.0.0.1:6379"},` +
		`"b":{"run_id":"q","address":"10.0.0.2:6379","joining":true}},"why":"dead","version":1}`
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
