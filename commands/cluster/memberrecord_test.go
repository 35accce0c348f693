package cluster

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"resec/handlers"
	"resec/handlers/redis"
)

// cluster is a state under which a is the master, whose data went through l1 and l2; b has caught up with it, j joins.
func cluster(change ...func(*State)) State {
	s := State{Histories: []string{"l1", "l2"}, Master: &Master{Peer: handlers.Peer{ID: "a", RunID: "run-a", Address: "a:1", Term: 4}},
		Members:       map[string]MemberRecord{"a": {RunID: "run-a", Address: "a:1", InSyncTerm: 4}, "b": {RunID: "run-b", Address: "b:1", InSyncTerm: 4}, "j": {RunID: "run-j", Address: "j:1", CatchingUp: true}},
		FormerMembers: []string{"f", "g"}}
	for _, f := range change {
		f(&s)
	}
	return s
}

func without(ids ...string) func(*State) {
	return func(s *State) {
		for _, id := range ids {
			delete(s.Members, id)
		}
	}
}

func TestState_Stranger(t *testing.T) {
	first := func(s *State) { s.Master = nil }
	forced := func(s *State) { s.Master.ForceFollow = []string{"x"} }
	for _, tt := range []struct {
		name string
		s    State
		id   string
		st   redis.Status
		want bool
	}{
		{"a recorded member is none, whatever it holds: an AOF begins a lineage with each restart", cluster(), "b", redis.Status{Keys: 9, Position: at("x", "")}, false},
		{"nor is one whose history went through the chain", cluster(), "x", redis.Status{Keys: 9, Position: at("l1", "")}, false},
		{"nor one whose history continues it", cluster(), "x", redis.Status{Keys: 9, Position: at("z", "l1")}, false},
		{"an empty one has nothing to lose", cluster(), "x", redis.Status{Position: at("z", "")}, false},
		{"one with data that the cluster never had is", cluster(), "x", redis.Status{Keys: 9, Position: at("z", "y")}, true},
		{"nor one that was a member before it left", cluster(), "f", redis.Status{Keys: 9, Position: at("x", "")}, false},
		{"before the first master nobody is", cluster(first), "x", redis.Status{Keys: 9, Position: at("z", "")}, false},
		{"an operator can overrule it", cluster(forced), "x", redis.Status{Keys: 9, Position: at("z", "")}, false},
		{"for that member alone", cluster(forced), "y", redis.Status{Keys: 9, Position: at("z", "")}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.s.RefuseFollowReason(tt.id, tt.st); (got != "") != tt.want {
				t.Errorf("got %q", got)
			}
		})
	}
}

func TestState_Bar(t *testing.T) {
	for _, tt := range []struct{ name, id, run, want string }{
		{"who has caught up in its recorded run may lead", "b", "run-b", ""},
		{"not in another run", "b", "run-new", "it was restarted since it was recorded"},
		{"not while it joins", "j", "run-j", "it has not caught up with the master"},
		{"not unrecorded", "x", "run-x", "it is not recorded: no master of this cluster has seen it"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := cluster().NotRecordedReason(tt.id, tt.run); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestState_Binds(t *testing.T) {
	small := func() State { return cluster(without("j")) }
	old := func(id string) Candidate { return Candidate{ID: id, Status: redis.Status{RunID: "run-" + id}} }
	fresh := func(id string) Candidate { return Candidate{ID: id, Status: redis.Status{RunID: "run-new"}} }
	loading := func(c Candidate) Candidate { c.Loading = true; return c }
	for _, tt := range []struct {
		name    string
		s       State
		answers []Candidate
		quiet   bool
		want    Eligibility
	}{
		{"a record that names nobody binds nobody", State{}, []Candidate{fresh("x")}, false, AnyMember},
		{"it binds while one is in its recorded run", cluster(), []Candidate{fresh("a"), old("b"), fresh("j")}, true, RecordedOnly},
		{"it is void when all answer, and all were restarted", cluster(), []Candidate{fresh("a"), fresh("b"), fresh("j")}, false, AnyMember},
		{"not while one of them does not answer", cluster(), []Candidate{fresh("a"), fresh("b")}, false, RecordedOnly},
		{"not while one of them is loading what it holds", small(), []Candidate{fresh("a"), loading(fresh("b"))}, true, RecordedOnly},
		{"no recorded run has answered for long enough", cluster(), []Candidate{fresh("b")}, true, ColdStart},
		{"one that only joins has no claim of its own", cluster(), []Candidate{fresh("a"), fresh("b"), old("j")}, false, AnyMember},
		{"but keeps a restarted one from claiming what a dead one may have", cluster(), []Candidate{fresh("b"), old("j")}, true, RecordedOnly},
		{"who is not recorded does not count", small(), []Candidate{fresh("a"), fresh("x")}, false, RecordedOnly},
		{"nor does it stand in the way", small(), []Candidate{fresh("a"), fresh("b"), old("x")}, false, AnyMember},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.s.Eligibility(tt.answers, tt.quiet); got != tt.want {
				t.Errorf("got %d", got)
			}
		})
	}
}

// Who may lead after a cold start in which not all have come.
func TestCandidate_UnfitQuietly(t *testing.T) {
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
		{"the last master, with what its disk kept", cluster(), "a", 9, ""},
		{"who was level with it", cluster(), "b", 9, ""},
		{"not who was level with an earlier one only", cluster(earlier), "b", 9, behind},
		{"nor who joined", cluster(), "j", 9, behind},
		{"nor the last master with a new disk", cluster(), "a", 0, empty},
		{"nor who was level and has a new disk", cluster(), "b", 0, empty},
		{"nor a stranger", cluster(), "x", 9, "its data were never this cluster's"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := Candidate{ID: tt.id, Status: redis.Status{RunID: "run-new", Keys: tt.keys, Priority: 100, Position: at("z", "")}}
			if got := c.IneligibleReason(tt.s, ColdStart); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestState_Enrol(t *testing.T) {
	mark := redis.Position{ReplID: "l2", Offset: 100}
	// member is one whose agent lives, linked to the master and level with it.
	member := func(id string, change ...func(*MemberObservation)) MemberObservation {
		m := MemberObservation{ID: id, MemberKey: MemberKey{Session: "s-" + id, RunID: "run-" + id, Address: id + ":1"}, InCatalog: true,
			Status: &redis.Status{RunID: "run-" + id, MasterAddr: "a:1", LinkUp: true, Keys: 1, Position: redis.Position{ReplID: "l2", Offset: 100}}}
		for _, f := range change {
			f(&m)
		}
		return m
	}
	behind := func(m *MemberObservation) { m.Status.Position.Offset = 99 }
	parked := func(m *MemberObservation) { m.Status.MasterAddr, m.Status.LinkUp = redis.Sink, false }
	empty := func(m *MemberObservation) { m.Status.Keys, m.Status.Position = 0, at("z", "") }
	foreign := func(m *MemberObservation) { m.Status.Position = at("z", "") }
	syncing := func(m *MemberObservation) { m.Status.LinkUp, m.Status.Syncing = false, true }
	restarted := func(m *MemberObservation) { m.RunID, m.Status.RunID = "run-new", "run-new" }
	moved := func(m *MemberObservation) { m.Address = "elsewhere:1" }
	silent := func(m *MemberObservation) { m.Status = nil }
	dead := func(m *MemberObservation) { m.Session, m.Status = "", nil }
	gone := func(m *MemberObservation) { m.Session, m.Status, m.InCatalog = "", nil, false }
	// rec is a member that is level with the master of term 4, unless it joins.
	rec := func(run, addr string, joining bool) *MemberRecord {
		if joining {
			return &MemberRecord{RunID: run, Address: addr, CatchingUp: true}
		}
		return &MemberRecord{RunID: run, Address: addr, InSyncTerm: 4}
	}
	fg := []string{"f", "g"}
	misled := func(m *MemberObservation) { m.Status.RunID = "run-of-a-stranger" }
	for _, tt := range []struct {
		name string
		seen MemberObservation
		want *MemberRecord // nil: not recorded
		left []string      // who is known to have left
	}{
		{"a newcomer is recorded before it attaches", member("x", parked, empty), rec("run-x", "x:1", true), fg},
		{"also with data of this cluster", member("x", parked), rec("run-x", "x:1", true), fg},
		{"not with data that the cluster never had", member("x", parked, foreign), nil, fg},
		{"a linked one that is not recorded is, and may lead once it is level", member("x"), rec("run-x", "x:1", false), fg},
		{"not before", member("x", behind), rec("run-x", "x:1", true), fg},
		{"one that does not answer is not", member("x", silent), nil, fg},
		{"nor is a stranger at its address", member("x", misled), nil, fg},
		{"one that joins and is level has caught up", member("j"), rec("run-j", "j:1", false), fg},
		{"not while it is behind", member("j", behind), rec("run-j", "j:1", true), fg},
		{"not while it is in a full sync", member("j", syncing), rec("run-j", "j:1", true), fg},
		{"not in another lineage", member("j", foreign), rec("run-j", "j:1", true), fg},
		{"who has caught up may fall behind", member("b", behind), rec("run-b", "b:1", false), fg},
		{"one that was restarted is recorded in its new run once it has attached", member("b", restarted, syncing), rec("run-new", "b:1", true), fg},
		{"and may lead once it is level", member("b", restarted), rec("run-new", "b:1", false), fg},
		{"not before it has attached", member("b", restarted, parked), rec("run-b", "b:1", false), fg},
		{"who has moved is found where it is", member("b", moved), rec("run-b", "elsewhere:1", false), fg},
		{"a member whose agent is dead stays", member("b", dead), rec("run-b", "b:1", false), fg},
		{"one that has deregistered leaves", member("b", gone), nil, []string{"f", "g", "b"}},
		{"not while its Redis replicates on", member("b", gone, func(m *MemberObservation) { m.Replicating = true }), rec("run-b", "b:1", false), fg},
		{"who has left and comes back is a member again", member("f", parked, foreign), rec("run-f", "f:1", true), []string{"g"}},
		{"one whose Consul agent lost its data does not, for its session tells", member("b", func(m *MemberObservation) { m.InCatalog = false }), rec("run-b", "b:1", false), fg},
		{"the master stays whatever is seen", member("a", gone), rec("run-a", "a:1", false), fg},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := cluster()
			want := cluster().Members
			if delete(want, tt.seen.ID); tt.want != nil {
				want[tt.seen.ID] = *tt.want
			}
			got := s.UpdateMembers([]MemberObservation{tt.seen}, mark)
			if d := cmp.Diff(want, got.Members); d != "" {
				t.Error(d)
			}
			if d := cmp.Diff([]string{"l1", "l2"}, got.Histories); d != "" {
				t.Error(d)
			}
			if d := cmp.Diff(tt.left, got.FormerMembers); d != "" {
				t.Error(d)
			}
			if d := cmp.Diff(cluster(), s); d != "" {
				t.Errorf("the state itself was changed: %s", d)
			}
		})
	}
}

func TestState_Lead(t *testing.T) {
	before := cluster(without("j"))
	after := before
	after.Master = &Master{Peer: handlers.Peer{ID: "b", RunID: "run-b2", Address: "b:2", Term: 5}}
	want := map[string]MemberRecord{"a": {RunID: "run-a", Address: "a:1", InSyncTerm: 4}, "b": {RunID: "run-b2", Address: "b:2", InSyncTerm: 5}}
	if d := cmp.Diff(want, after.WithMasterRecorded().Members); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(map[string]MemberRecord{"b": {RunID: "run-b2", Address: "b:2", InSyncTerm: 5}}, State{Master: after.Master}.WithMasterRecorded().Members); d != "" {
		t.Errorf("the first master: %s", d)
	}
	if d := cmp.Diff(cluster(without("j")), before); d != "" {
		t.Errorf("the state before was changed: %s", d)
	}
}

// Redis begins a new lineage with its first replica: what the members hold is that.
func TestState_EnrolKeepsTheChain(t *testing.T) {
	got := cluster().UpdateMembers(nil, redis.Position{ReplID: "l3"})
	if d := cmp.Diff([]string{"l1", "l2", "l3"}, got.Histories); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(cluster().Members, got.Members); d != "" {
		t.Error(d)
	}
}

// What an operator forces is used up once it is done.
func TestState_EnrolStrikesOff(t *testing.T) {
	s := cluster(func(s *State) { s.Master.ForceFollow = []string{"b", "j", "x"} })
	level := func(id string) MemberObservation {
		return MemberObservation{ID: id, MemberKey: MemberKey{Session: "s", RunID: "run-" + id, Address: id + ":1"}, InCatalog: true,
			Status: &redis.Status{RunID: "run-" + id, MasterAddr: "a:1", LinkUp: true, Position: redis.Position{ReplID: "l2", Offset: 100}}}
	}
	got := s.UpdateMembers([]MemberObservation{level("b"), level("x")}, redis.Position{ReplID: "l2", Offset: 100})
	if d := cmp.Diff([]string{"j"}, got.Master.ForceFollow); d != "" {
		t.Error(d)
	}
	if len(s.Master.ForceFollow) != 3 {
		t.Error("the state itself was changed")
	}
}

func TestState_EnrolKeepsTheMaster(t *testing.T) {
	got := cluster(without("a")).UpdateMembers(nil, redis.Position{ReplID: "l2"}).Members["a"]
	if d := cmp.Diff(MemberRecord{RunID: "run-a", Address: "a:1", InSyncTerm: 4}, got); d != "" {
		t.Error(d)
	}
}
