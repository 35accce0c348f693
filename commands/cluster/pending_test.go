package cluster

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"resec/handlers"
)

func TestPendingMembers(t *testing.T) {
	rec := func(id string) MemberRecord {
		return MemberRecord{RunID: "run-" + id, Address: id + ":1", InSyncTerm: 3}
	}
	here := func(id string) MemberKey {
		return MemberKey{Session: id + "'s", RunID: "run-" + id, Address: id + ":1"}
	}
	catching, restarted, moved := rec("catching"), here("restarted"), here("moved")
	earlier := rec("earlier")
	earlier.InSyncTerm = 2
	catching.CatchingUp, restarted.RunID, moved.Address = true, "run-2", "elsewhere:1"
	v := View{State: State{Master: &Master{Peer: handlers.Peer{ID: "me", Term: 3}}, Members: map[string]MemberRecord{"me": rec("me"), "settled": rec("settled"), "catching": catching, "restarted": rec("restarted"),
		"moved": rec("moved"), "dead": rec("dead"), "down": rec("down"), "earlier": earlier}},
		LiveAgents: map[string]MemberKey{"settled": here("settled"), "catching": here("catching"), "restarted": restarted, "moved": moved,
			"dead": {RunID: "run-dead"}, "newcomer": here("newcomer"), "earlier": here("earlier"), "departed": {RunID: "run-departed"}}}
	if d := cmp.Diff([]string{"catching", "dead", "down", "earlier", "moved", "newcomer", "restarted"}, PendingMembers(v, "me")); d != "" {
		t.Error(d)
	}
}
