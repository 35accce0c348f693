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
		Record: map[string]Recorded{"a": {RunID: "run-a", Address: "a:1"}, "b": {RunID: "run-b", Address: "b:1"}, "j": {RunID: "run-j", Address: "j:1", Joining: true}}}
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
	old := func(id string) Candidate { return Candidate{ID: id, Status: redis.Status{RunID: "run-" + id}} }
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
		{"unless no recorded run has answered for long enough", cluster(), []Candidate{fresh("b")}, true, true},
		{"one that only joins has no claim of its own", cluster(), []Candidate{fresh("a"), fresh("b"), old("j")}, false, true},
		{"but keeps a restarted one from claiming what a dead one may have", cluster(), []Candidate{fresh("b"), old("j")}, true, false},
		{"who is not recorded does not count", cluster(without("j")), []Candidate{fresh("a"), fresh("x")}, false, false},
		{"nor does it stand in the way", cluster(without("j")), []Candidate{fresh("a"), fresh("b"), old("x")}, false, true},
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
	misled := func(m *Seen) { m.Status.RunID = "run-of-a-stranger" }
	for _, tt := range []struct {
		name string
		seen Seen
		want *Recorded // nil: not recorded
	}{
		{"a newcomer is recorded before it attaches", member("x", parked, empty), &Recorded{"run-x", "x:1", true}},
		{"also with data of this cluster", member("x", parked), &Recorded{"run-x", "x:1", true}},
		{"not with data that the cluster never had", member("x", parked, foreign), nil},
		{"a linked one that is not recorded is, and may lead once it is level", member("x"), &Recorded{"run-x", "x:1", false}},
		{"not before", member("x", behind), &Recorded{"run-x", "x:1", true}},
		{"one that does not answer is not", member("x", silent), nil},
		{"nor is a stranger at its address", member("x", misled), nil},
		{"one that joins and is level has caught up", member("j"), &Recorded{"run-j", "j:1", false}},
		{"not while it is behind", member("j", behind), &Recorded{"run-j", "j:1", true}},
		{"not while it is in a full sync", member("j", syncing), &Recorded{"run-j", "j:1", true}},
		{"not in another lineage", member("j", foreign), &Recorded{"run-j", "j:1", true}},
		{"who has caught up may fall behind", member("b", behind), &Recorded{"run-b", "b:1", false}},
		{"one that was restarted is recorded in its new run once it has attached", member("b", restarted, syncing), &Recorded{"run-new", "b:1", true}},
		{"and may lead once it is level", member("b", restarted), &Recorded{"run-new", "b:1", false}},
		{"not before it has attached", member("b", restarted, parked), &Recorded{"run-b", "b:1", false}},
		{"who has moved is found where it is", member("b", moved), &Recorded{"run-b", "elsewhere:1", false}},
		{"a member whose agent is dead stays", member("b", dead), &Recorded{"run-b", "b:1", false}},
		{"one that has deregistered leaves", member("b", gone), nil},
		{"one whose Consul agent lost its data does not, for its session tells", member("b", func(m *Seen) { m.Listed = false }), &Recorded{"run-b", "b:1", false}},
		{"the master stays whatever is seen", member("a", gone), &Recorded{"run-a", "a:1", false}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := cluster()
			want := cluster().Record
			if delete(want, tt.seen.ID); tt.want != nil {
				want[tt.seen.ID] = *tt.want
			}
			if d := cmp.Diff(want, s.Enrol([]Seen{tt.seen}, mark)); d != "" {
				t.Error(d)
			}
			if d := cmp.Diff(cluster(), s); d != "" {
				t.Errorf("the state itself was changed: %s", d)
			}
		})
	}
}
