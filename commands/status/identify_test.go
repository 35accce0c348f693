package status

import (
	"errors"
	"strings"
	"testing"

	"resec/commands/cluster"
	"resec/handlers/redis"
)

// An answer of another member's Redis is none.
func TestIdentify(t *testing.T) {
	live := func(v *cluster.View) {
		v.LiveAgents = map[string]cluster.MemberKey{"a": {Session: "a's", RunID: "run-a"}, "b": {Session: "b's", RunID: "run-b"}}
	}
	runs := func(run string) func(*MemberStatus) { return func(a *MemberStatus) { a.Status.RunID = run } }
	for _, tt := range []struct {
		name    string
		v       cluster.View
		answers []MemberStatus
		wrong   string // ids, joined
	}{
		{"each its own", view(live), []MemberStatus{master(), replica("b")}, ""},
		{"one that does not answer", view(live), []MemberStatus{master(unreachable), replica("b")}, ""},
		{"the redis of b in place of the master", view(live), []MemberStatus{master(runs("run-b")), replica("b")}, "a"},
		{"the redis of b in place of all", view(live), []MemberStatus{master(runs("run-b")), replica("b"), replica("c", runs("run-b"))},
			"ac"},
		{"one that is nobody's in place of all", cluster.View{}, []MemberStatus{replica("b", runs("x")), replica("c", runs("x"))}, "bc"},
	} {
		got := ""
		for _, a := range Identify(tt.v, tt.answers) {
			if errors.Is(a.Err, cluster.ErrWrongAddress) {
				got += a.ID
			}
			if a.Err != nil && a.Status.RunID != "" {
				t.Errorf("%s: %s has a status", tt.name, a.ID)
			}
		}
		if got != tt.wrong {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.wrong)
		}
	}
	answers := Identify(view(live), []MemberStatus{master(runs("run-b")), replica("b")})
	r := New(view(live), answers)
	if r.Code != NoMaster || !strings.Contains(r.Verdict, "ANNOUNCE_ADDR") || r.Members[0].Role != "unknown" {
		t.Errorf("got %d %q, %+v", r.Code, r.Verdict, r.Members[0])
	}
}

// A member whose id another live agent has, or whose address is wrong for others, degrades the cluster.
func TestNew_Identity(t *testing.T) {
	also := func(a *MemberStatus) { a.Also = "10.0.0.7:6379" }
	wrong := func(a *MemberStatus) { a.WrongAddress = "b announces a:6379, too" }
	for _, a := range []MemberStatus{master(also), master(also, unreachable), master(wrong)} {
		r := New(view(), []MemberStatus{a})
		if note := r.Members[0].Note; r.Code == Healthy || note == "" {
			t.Errorf("got %d, note %q", r.Code, note)
		}
	}
	if (MemberStatus{Status: redis.Status{}}).Candidate().WrongAddress || !master(wrong).Candidate().WrongAddress {
		t.Error("the candidate has not the address of the member")
	}
}
