package agent

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"resec/commands/cluster"
	"resec/commands/takeover"
	"resec/handlers"
)

func TestOthers(t *testing.T) {
	v := cluster.View{State: cluster.State{Master: &cluster.Master{Peer: handlers.Peer{ID: "a", RunID: "run-a"}}, Members: map[string]cluster.MemberRecord{
		"a": {RunID: "run-a", Address: "a:1"}, "me": {RunID: "run-me", Address: "me:1"}, "b": {RunID: "run-b", Address: "b:1"}, "c": {RunID: "run-c", Address: "c:1"}}},
		LiveAgents: map[string]cluster.MemberKey{"b": {Session: "b's", RunID: "run-new", Address: "new:1"}, "x": {Session: "x's", RunID: "run-x", Address: "x:1"}}}
	want := []takeover.RecordedPeer{ // the recorded ones but us, where their agents say that they are
		{ID: "a", Address: "a:1"},
		{ID: "b", Address: "new:1", Session: "b's"},
		{ID: "c", Address: "c:1"},
	}
	if d := cmp.Diff(want, recordedPeers(v, "me")); d != "" {
		t.Error(d)
	}
}
