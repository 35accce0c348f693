package cluster

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"resec/handlers"
	"resec/handlers/redis"
)

func TestState_RefuseFollowReason(t *testing.T) {
	first := func(s *State) { s.Master = nil }
	forced := func(s *State) { s.Master.ForceFollow = []string{"x"} }
	for _, tt := range []struct {
		name string
		s    State
		id   string
		st   redis.Status
		want bool
	}{
		{"not a recorded member, because an AOF begins a new replication ID with each restart", threeMembers(), "b",
			redis.Status{Keys: 9, Position: at("x", "")}, false},
		{"not known data", threeMembers(), "x", redis.Status{Keys: 9, Position: at("l1", "")}, false},
		{"not data that continue a known history", threeMembers(), "x", redis.Status{Keys: 9, Position: at("z", "l1")}, false},
		{"not an empty Redis", threeMembers(), "x", redis.Status{Position: at("z", "")}, false},
		{"unrelated data", threeMembers(), "x", redis.Status{Keys: 9, Position: at("z", "y")}, true},
		{"not a former member", threeMembers(), "f", redis.Status{Keys: 9, Position: at("x", "")}, false},
		{"not before the first master", threeMembers(first), "x", redis.Status{Keys: 9, Position: at("z", "")}, false},
		{"not if an operator forces it", threeMembers(forced), "x", redis.Status{Keys: 9, Position: at("z", "")}, false},
		{"the force counts for that member only", threeMembers(forced), "y", redis.Status{Keys: 9, Position: at("z", "")}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.s.RefuseFollowReason(tt.id, tt.st); (got != "") != tt.want {
				t.Errorf("got %q", got)
			}
		})
	}
}

func TestState_NotRecordedReason(t *testing.T) {
	for _, tt := range []struct{ name, id, run, want string }{
		{"in sync in its recorded run", "b", "run-b", ""},
		{"in another run", "b", "run-new", "it was restarted since it was recorded"},
		{"while it is catching up", "j", "run-j", "it has not caught up with the master"},
		{"unrecorded", "x", "run-x", "it is not recorded: no master of this cluster has seen it"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := threeMembers().NotRecordedReason(tt.id, tt.run); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestState_WithMasterRecorded(t *testing.T) {
	before := threeMembers(without("j"))
	after := before
	after.Master = &Master{Peer: handlers.Peer{ID: "b", RunID: "run-b2", Address: "b:2", Term: 5}}
	want := map[string]MemberRecord{"a": {RunID: "run-a", Address: "a:1", InSyncTerm: 4},
		"b": {RunID: "run-b2", Address: "b:2", InSyncTerm: 5}}
	if d := cmp.Diff(want, after.WithMasterRecorded().Members); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(map[string]MemberRecord{"b": {RunID: "run-b2", Address: "b:2", InSyncTerm: 5}},
		State{Master: after.Master}.WithMasterRecorded().Members); d != "" {
		t.Errorf("the first master: %s", d)
	}
	if d := cmp.Diff(threeMembers(without("j")), before); d != "" {
		t.Errorf("the state before was changed: %s", d)
	}
}
