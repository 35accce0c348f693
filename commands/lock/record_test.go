package lock

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"resec/handlers"
	"resec/handlers/redis"
)

// cluster is a state under which a is the master, whose data went through l1 and l2; b has caught up with it, j joins.
func cluster(change ...func(*State)) State {
	s := State{Chain: []string{"l1", "l2"}, Master: &Master{Peer: handlers.Peer{ID: "a", RunID: "run-a", Address: "a:1", Term: 4}},
		Record: map[string]Recorded{"a": {RunID: "run-a", Address: "a:1"}, "b": {RunID: "run-b", Address: "b:1"}, "j": {RunID: "run-j", Address: "j:1", Joining: true}},
		Former: []string{"f", "g"}}
	for _, f := range change {
		f(&s)
	}
	return s
}

func without(ids ...string) func(*State) {
	return func(s *State) {
		for _, id := range ids {
			delete(s.Record, id)
		}
	}
}

func TestState_Stranger(t *testing.T) {
	first := func(s *State) { s.Master = nil }
	forced := func(s *State) { s.Master.Overrule = []string{"x"} }
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
			if got := tt.s.Stranger(tt.id, tt.st); (got != "") != tt.want {
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
			if got := cluster().Bar(tt.id, tt.run); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestState_Void(t *testing.T) {
	small := func() State { return cluster(without("j")) }
	old := func(id string) Candidate { return Candidate{ID: id, Status: redis.Status{RunID: "run-" + id}} }
	loading := func(c Candidate) Candidate { c.Loading = true; return c }
	fresh := func(id string) Candidate { return Candidate{ID: id, Status: redis.Status{RunID: "run-new"}} }
	for _, tt := range []struct {
		name    string
		s       State
		answers []Candidate
		quiet   bool
		want    bool
	}{
		{"a record that names nobody is", State{}, []Candidate{fresh("x")}, false, true},
		{"not while one is in its recorded run", cluster(), []Candidate{fresh("a"), old("b"), fresh("j")}, true, false},
		{"when all answer, and all were restarted", cluster(), []Candidate{fresh("a"), fresh("b"), fresh("j")}, false, true},
		{"not while one of them does not answer", cluster(), []Candidate{fresh("a"), fresh("b")}, false, false},
		{"not while one of them is loading what it holds", small(), []Candidate{fresh("a"), loading(fresh("b"))}, true, false},
		{"unless no recorded run has answered for long enough", cluster(), []Candidate{fresh("b")}, true, true},
		{"one that only joins has no claim of its own", cluster(), []Candidate{fresh("a"), fresh("b"), old("j")}, false, true},
		{"but keeps a restarted one from claiming what a dead one may have", cluster(), []Candidate{fresh("b"), old("j")}, true, false},
		{"who is not recorded does not count", small(), []Candidate{fresh("a"), fresh("x")}, false, false},
		{"nor does it stand in the way", small(), []Candidate{fresh("a"), fresh("b"), old("x")}, false, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.s.Void(tt.answers, tt.quiet); got != tt.want {
				t.Errorf("got %t", got)
			}
		})
	}
}

func TestState_Enrol(t *testing.T) {
	mark := redis.Position{Lineage: "l2", Offset: 100}
	// member is one whose agent lives, linked to the master and level with it.
	member := func(id string, change ...func(*Seen)) Seen {
		m := Seen{ID: id, Present: Present{Session: "s-" + id, RunID: "run-" + id, Address: id + ":1"}, Listed: true,
			Status: &redis.Status{RunID: "run-" + id, Of: "a:1", LinkUp: true, Keys: 1, Position: redis.Position{Lineage: "l2", Offset: 100}}}
		for _, f := range change {
			f(&m)
		}
		return m
	}
	behind := func(m *Seen) { m.Status.Position.Offset = 99 }
	parked := func(m *Seen) { m.Status.Of, m.Status.LinkUp = redis.Sink, false }
	empty := func(m *Seen) { m.Status.Keys, m.Status.Position = 0, at("z", "") }
	foreign := func(m *Seen) { m.Status.Position = at("z", "") }
	syncing := func(m *Seen) { m.Status.LinkUp, m.Status.Syncing = false, true }
	restarted := func(m *Seen) { m.RunID, m.Status.RunID = "run-new", "run-new" }
	moved := func(m *Seen) { m.Address = "elsewhere:1" }
	silent := func(m *Seen) { m.Status = nil }
	dead := func(m *Seen) { m.Session, m.Status = "", nil }
	gone := func(m *Seen) { m.Session, m.Status, m.Listed = "", nil, false }
	rec := func(run, addr string, joining bool) *Recorded {
		return &Recorded{RunID: run, Address: addr, Joining: joining}
	}
	fg := []string{"f", "g"}
	misled := func(m *Seen) { m.Status.RunID = "run-of-a-stranger" }
	for _, tt := range []struct {
		name string
		seen Seen
		want *Recorded // nil: not recorded
		left []string  // who is known to have left
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
		{"who has left and comes back is a member again", member("f", parked, foreign), rec("run-f", "f:1", true), []string{"g"}},
		{"one whose Consul agent lost its data does not, for its session tells", member("b", func(m *Seen) { m.Listed = false }), rec("run-b", "b:1", false), fg},
		{"the master stays whatever is seen", member("a", gone), rec("run-a", "a:1", false), fg},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := cluster()
			want := cluster().Record
			if delete(want, tt.seen.ID); tt.want != nil {
				want[tt.seen.ID] = *tt.want
			}
			got := s.Enrol([]Seen{tt.seen}, mark)
			if d := cmp.Diff(want, got.Record); d != "" {
				t.Error(d)
			}
			if d := cmp.Diff([]string{"l1", "l2"}, got.Chain); d != "" {
				t.Error(d)
			}
			if d := cmp.Diff(tt.left, got.Former); d != "" {
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
	after.Master = &Master{Peer: handlers.Peer{ID: "b", RunID: "run-b2", Address: "b:2"}}
	want := map[string]Recorded{"a": {RunID: "run-a", Address: "a:1"}, "b": {RunID: "run-b2", Address: "b:2"}}
	if d := cmp.Diff(want, after.Lead().Record); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(map[string]Recorded{"b": {RunID: "run-b2", Address: "b:2"}}, State{Master: after.Master}.Lead().Record); d != "" {
		t.Errorf("the first master: %s", d)
	}
	if d := cmp.Diff(cluster(without("j")), before); d != "" {
		t.Errorf("the state before was changed: %s", d)
	}
}

// Redis begins a new lineage with its first replica: what the members hold is that.
func TestState_EnrolKeepsTheChain(t *testing.T) {
	got := cluster().Enrol(nil, redis.Position{Lineage: "l3"})
	if d := cmp.Diff([]string{"l1", "l2", "l3"}, got.Chain); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(cluster().Record, got.Record); d != "" {
		t.Error(d)
	}
}
