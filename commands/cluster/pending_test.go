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
	v := View{State: State{Master: &Master{Peer: handlers.Peer{ID: "me", Term: 3}},
		Members: map[string]MemberRecord{"me": rec("me"), "settled": rec("settled"), "catching": catching,
			"restarted": rec("restarted"),
			"moved":     rec("moved"), "dead": rec("dead"), "down": rec("down"), "earlier": earlier}},
		LiveAgents: map[string]MemberKey{"settled": here("settled"), "catching": here("catching"), "restarted": restarted,
			"moved": moved,
			"dead":  {RunID: "run-dead"}, "newcomer": here("newcomer"), "earlier": here("earlier"), "departed": {RunID: "run-departed"}}}
	if d := cmp.Diff([]string{"catching", "dead", "down", "earlier", "moved", "newcomer", "restarted"},
		PendingMembers(v, Master{Peer: handlers.Peer{ID: "me"}})); d != "" {
		t.Error(d)
	}
}

func TestPendingMembers_Self(t *testing.T) {
	v := View{State: threeMembers(),
		LiveAgents: map[string]MemberKey{"b": {Session: "s", RunID: "run-b", Address: "b:1"}, "j": {Session: "s", RunID: "run-j"}}}
	if d := cmp.Diff([]string{"j"}, PendingMembers(v, Master{Peer: handlers.Peer{ID: "a"}})); d != "" {
		t.Errorf("if we are recorded: %s", d)
	}
	if d := cmp.Diff([]string{"a", "j", "me"}, PendingMembers(v, Master{Peer: handlers.Peer{ID: "me"}})); d != "" {
		t.Errorf("if we are not recorded: %s", d)
	}
}

func TestMembersFingerprint(t *testing.T) {
	v := situation().View
	before := MembersFingerprint(v, []string{"a", "me"})
	if before == "" || before != MembersFingerprint(situation().View, []string{"a", "me"}) {
		t.Errorf("the same members have another fingerprint: %q", before)
	}
	changed := situation(func(k *Snapshot) { k.View.State.Members["a"] = MemberRecord{RunID: "run-a", CatchingUp: true} }).View
	if before == MembersFingerprint(changed, []string{"a", "me"}) || MembersFingerprint(v, nil) != "" {
		t.Error("other members have the same fingerprint")
	}
}

func TestUnlistedHistory(t *testing.T) {
	unlisted := func(k *Snapshot) { k.Health.Status.Position.ReplID = "z" }
	for _, tt := range []struct {
		name string
		k    Snapshot
		want string
	}{
		{"a new replication ID of the master", leading(unlisted), "z"},
		{"a listed one", leading(), ""},
		{"of a replica", leading(unlisted, func(k *Snapshot) { k.Health.Status.Master = false }), ""},
		{"of another run", leading(unlisted, restartedRedis), ""},
		{"without a master", leading(unlisted, noState), ""},
	} {
		if got := UnlistedHistory(tt.k); got != tt.want {
			t.Errorf("%s: got %q", tt.name, got)
		}
	}
}

func TestFormatMembers(t *testing.T) {
	members := threeMembers().Members
	members["b"] = MemberRecord{RunID: "0123456789"}
	if got, want := FormatMembers(members), "a run-a, b 01234567, j run-j (catching up)"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
