package cluster

import (
	"testing"

	"resec/handlers/redis"
)

func TestState_Eligibility(t *testing.T) {
	twoMembers := func() State { return threeMembers(without("j")) }
	recorded := func(id string) Candidate {
		return Candidate{ID: id, AgentAlive: true, Status: redis.Status{RunID: "run-" + id, Priority: 100}}
	}
	restarted := func(id string) Candidate {
		return Candidate{ID: id, AgentAlive: true, Status: redis.Status{RunID: "run-new", Priority: 100}}
	}
	loading := func(c Candidate) Candidate { c.Loading = true; return c }
	neverLeads := func(c Candidate) Candidate { c.Priority = 0; return c }
	withoutAgent := func(c Candidate) Candidate { c.AgentAlive = false; return c }
	withErrors := func(c Candidate) Candidate { c.StreamErrors = 1; return c }
	for _, tt := range []struct {
		name    string
		s       State
		answers []Candidate
		quiet   bool
		want    Eligibility
	}{
		{"any, if none is recorded", State{}, []Candidate{restarted("x")}, false, AnyMember},
		{"recorded ones while one is in its recorded run", threeMembers(), []Candidate{restarted("a"), recorded("b"), restarted("j")},
			true, RecordedOnly},
		{"any, if all answer and all were restarted", threeMembers(), []Candidate{restarted("a"), restarted("b"), restarted("j")},
			false, AnyMember},
		{"not while one does not answer", threeMembers(), []Candidate{restarted("a"), restarted("b")}, false, RecordedOnly},
		{"not while one is loading its data", twoMembers(), []Candidate{restarted("a"), loading(restarted("b"))}, true, RecordedOnly},
		{"a cold start if no recorded run has answered for long enough", threeMembers(), []Candidate{restarted("b")}, true, ColdStart},
		{"a recorded run that is catching up does not restrict the election", threeMembers(),
			[]Candidate{restarted("a"), restarted("b"), recorded("j")}, false, AnyMember},
		{"but prevents a cold start, because a missing member may have the data", threeMembers(),
			[]Candidate{restarted("b"), recorded("j")}, true, RecordedOnly},
		{"an unrecorded answer does not end the count", twoMembers(), []Candidate{restarted("x"), recorded("a"), restarted("b")}, false,
			RecordedOnly},
		{"an unrecorded member does not count", twoMembers(), []Candidate{restarted("a"), restarted("x")}, false, RecordedOnly},
		{"and prevents nothing", twoMembers(), []Candidate{restarted("a"), restarted("b"), recorded("x")}, false, AnyMember},
		{"one that may never lead does not restrict it", threeMembers(),
			[]Candidate{restarted("a"), neverLeads(recorded("b")), restarted("j")}, false, AnyMember},
		{"nor does one whose agent is dead", threeMembers(),
			[]Candidate{restarted("a"), withoutAgent(recorded("b")), restarted("j")}, false, AnyMember},
		{"and holds the data, whoever is missing", threeMembers(), []Candidate{neverLeads(recorded("b")), restarted("j")}, false, AnyMember},
		{"not once it was restarted", threeMembers(), []Candidate{neverLeads(restarted("b")), restarted("j")}, false, RecordedOnly},
		{"not while it is catching up", threeMembers(), []Candidate{restarted("b"), neverLeads(recorded("j"))}, false, RecordedOnly},
		{"not beside one in sync that may lead", threeMembers(), []Candidate{recorded("a"), neverLeads(recorded("b"))}, false, RecordedOnly},
		{"one that answered the stream with errors does not restrict it", threeMembers(),
			[]Candidate{restarted("a"), withErrors(recorded("b")), restarted("j")}, false, AnyMember},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.s.Eligibility(tt.answers, tt.quiet); got != tt.want {
				t.Errorf("got %d", got)
			}
		})
	}
}

// Which members may lead after a cold start in which some members are missing.
func TestCandidate_IneligibleReasonColdStart(t *testing.T) {
	const empty, behind = "it is empty, and members that do not answer may have data; `resec failover -to ID -force` overrides",
		"it was not in sync with the last master, which does not answer; `resec failover -to ID -force` overrides"
	earlier := func(s *State) { b := s.Members["b"]; b.InSyncTerm = 3; s.Members["b"] = b }
	for _, tt := range []struct {
		name string
		s    State
		id   string
		keys int64
		want string
	}{
		{"the last master with data", threeMembers(), "a", 9, ""},
		{"the last master, whose record is older", threeMembers(func(s *State) { s.Members["a"] = MemberRecord{InSyncTerm: 3} }), "a",
			9, ""},
		{"a member that was in sync with it", threeMembers(), "b", 9, ""},
		{"not one that was in sync with an earlier master only", threeMembers(earlier), "b", 9, behind},
		{"not one that was catching up", threeMembers(), "j", 9, behind},
		{"not the last master without data", threeMembers(), "a", 0, empty},
		{"not one that was in sync and is empty", threeMembers(), "b", 0, empty},
		{"not unrelated data", threeMembers(), "x", 9, "its data were never this cluster's"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := Candidate{ID: tt.id, Status: redis.Status{RunID: "run-new", Keys: tt.keys, Priority: 100, Position: at("z", "")}}
			if got := c.IneligibleReason(tt.s, ColdStart); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
