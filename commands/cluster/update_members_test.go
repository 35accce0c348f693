package cluster

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"resec/handlers/redis"
)

func TestState_UpdateMembers(t *testing.T) {
	mark := redis.Position{ReplID: "l2", Offset: 100}
	// member has a live agent and is in sync with the master.
	member := func(id string, change ...func(*MemberObservation)) MemberObservation {
		m := MemberObservation{ID: id, MemberKey: MemberKey{Session: "s-" + id, RunID: "run-" + id, Address: id + ":1"},
			InCatalog: true,
			Status: &redis.Status{RunID: "run-" + id, MasterAddr: "a:1", LinkUp: true, Keys: 1,
				Position: redis.Position{ReplID: "l2", Offset: 100}}}
		for _, f := range change {
			f(&m)
		}
		return m
	}
	behind := func(m *MemberObservation) { m.Status.Position.Offset = 99 }
	parked := func(m *MemberObservation) { m.Status.MasterAddr, m.Status.LinkUp = redis.Sink, false }
	empty := func(m *MemberObservation) { m.Status.Keys, m.Status.Position = 0, at("z", "") }
	unrelated := func(m *MemberObservation) { m.Status.Position = at("z", "") }
	syncing := func(m *MemberObservation) { m.Status.LinkUp, m.Status.Syncing = false, true }
	restarted := func(m *MemberObservation) { m.RunID, m.Status.RunID = "run-new", "run-new" }
	moved := func(m *MemberObservation) { m.Address = "elsewhere:1" }
	unreachable := func(m *MemberObservation) { m.Status = nil }
	agentDead := func(m *MemberObservation) { m.Session, m.Status = "", nil }
	deregistered := func(m *MemberObservation) { m.Session, m.Status, m.InCatalog = "", nil, false }
	// rec is a member that is in sync with the master of term 4, unless it is catching up.
	rec := func(run, addr string, catchingUp bool) *MemberRecord {
		if catchingUp {
			return &MemberRecord{RunID: run, Address: addr, CatchingUp: true}
		}
		return &MemberRecord{RunID: run, Address: addr, InSyncTerm: 4}
	}
	former := []string{"f", "g"}
	otherInstance := func(m *MemberObservation) { m.Status.RunID = "run-of-another" }
	for _, tt := range []struct {
		name string
		seen MemberObservation
		want *MemberRecord // nil: not recorded
		left []string      // the former members
	}{
		{"a new member is recorded before it attaches", member("x", parked, empty), rec("run-x", "x:1", true), former},
		{"also with data of this cluster", member("x", parked), rec("run-x", "x:1", true), former},
		{"not with unrelated data", member("x", parked, unrelated), nil, former},
		{"an unrecorded replica is recorded, as in sync if it has reached the mark", member("x"), rec("run-x", "x:1", false), former},
		{"not as in sync before", member("x", behind), rec("run-x", "x:1", true), former},
		{"a member that does not answer is not recorded", member("x", unreachable), nil, former},
		{"nor is another instance at its address", member("x", otherInstance), nil, former},
		{"a member that reaches the mark has caught up", member("j"), rec("run-j", "j:1", false), former},
		{"not while it is behind", member("j", behind), rec("run-j", "j:1", true), former},
		{"not with stream errors", member("j", func(m *MemberObservation) { m.Status.ErrorReplies = 1 }), rec("run-j", "j:1", true), former},
		{"not while it is in a full sync", member("j", syncing), rec("run-j", "j:1", true), former},
		{"not with another replication ID", member("j", unrelated), rec("run-j", "j:1", true), former},
		{"a member that has caught up may fall behind", member("b", behind), rec("run-b", "b:1", false), former},
		{"a restarted member is recorded in its new run once it has attached", member("b", restarted, syncing),
			rec("run-new", "b:1", true), former},
		{"as in sync once it has reached the mark", member("b", restarted), rec("run-new", "b:1", false), former},
		{"not before it has attached", member("b", restarted, parked), rec("run-b", "b:1", false), former},
		{"a new address is recorded", member("b", moved), rec("run-b", "elsewhere:1", false), former},
		{"a member whose agent is dead stays", member("b", agentDead), rec("run-b", "b:1", false), former},
		{"a deregistered member leaves", member("b", deregistered), nil, []string{"f", "g", "b"}},
		{"not while its Redis still replicates", member("b", deregistered, func(m *MemberObservation) { m.Replicating = true }),
			rec("run-b", "b:1", false), former},
		{"a former member can return", member("f", parked, unrelated), rec("run-f", "f:1", true), []string{"g"}},
		{"a member with a session stays although its Consul agent lost its data",
			member("b", func(m *MemberObservation) { m.InCatalog = false }), rec("run-b", "b:1", false), former},
		{"the master's own redis under another id is no member", member("x", func(m *MemberObservation) {
			m.RunID, m.Status.RunID, m.Status.Master = "run-a", "run-a", true
		}), nil, former},
		{"the master stays whatever is observed", member("a", deregistered), rec("run-a", "a:1", false), former},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := threeMembers()
			want := threeMembers().Members
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
			if d := cmp.Diff(threeMembers(), s); d != "" {
				t.Errorf("the state itself was changed: %s", d)
			}
		})
	}
}

// Redis begins a new replication ID with its first replica: the members hold that.
func TestState_UpdateMembersAddsHistory(t *testing.T) {
	got := threeMembers().UpdateMembers(nil, redis.Position{ReplID: "l3"})
	if d := cmp.Diff([]string{"l1", "l2", "l3"}, got.Histories); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(threeMembers().Members, got.Members); d != "" {
		t.Error(d)
	}
}

// A force is used up once the member follows.
func TestState_UpdateMembersUsesForce(t *testing.T) {
	s := threeMembers(func(s *State) { s.Master.ForceFollow = []string{"b", "j", "x"} })
	inSync := func(id string) MemberObservation {
		return MemberObservation{ID: id, MemberKey: MemberKey{Session: "s", RunID: "run-" + id, Address: id + ":1"}, InCatalog: true,
			Status: &redis.Status{RunID: "run-" + id, MasterAddr: "a:1", LinkUp: true,
				Position: redis.Position{ReplID: "l2", Offset: 100}}}
	}
	got := s.UpdateMembers([]MemberObservation{inSync("b"), inSync("x")}, redis.Position{ReplID: "l2", Offset: 100})
	if d := cmp.Diff([]string{"j"}, got.Master.ForceFollow); d != "" {
		t.Error(d)
	}
	if len(s.Master.ForceFollow) != 3 {
		t.Error("the state itself was changed")
	}
}

func TestState_UpdateMembersKeepsMaster(t *testing.T) {
	got := threeMembers(without("a")).UpdateMembers(nil, redis.Position{ReplID: "l2"}).Members["a"]
	if d := cmp.Diff(MemberRecord{RunID: "run-a", Address: "a:1", InSyncTerm: 4}, got); d != "" {
		t.Error(d)
	}
}

// An observation of the master changes nothing, and the ones after it count.
func TestState_UpdateMembersSkipsMaster(t *testing.T) {
	seen := []MemberObservation{{ID: "a"}, {ID: "b"}}
	got := threeMembers().UpdateMembers(seen, redis.Position{ReplID: "l2"}).Members
	if _, kept := got["a"]; !kept {
		t.Error("the master was deregistered")
	}
	if _, kept := got["b"]; kept {
		t.Error("a member without agent and entry is still recorded")
	}
}

func TestState_UpdateMembersBounds(t *testing.T) {
	mark := redis.Position{ReplID: "l2"}
	if d := cmp.Diff(State{}, State{}.UpdateMembers([]MemberObservation{{ID: "x"}}, mark)); d != "" {
		t.Errorf("without a master: %s", d)
	}
	if d := cmp.Diff([]string{"l1", "l2"}, threeMembers().UpdateMembers(nil, redis.Position{}).Histories); d != "" {
		t.Errorf("without a replication ID: %s", d)
	}
	s := threeMembers(func(s *State) { s.FormerMembers = histories(0, maxFormerMembers) })
	got := s.UpdateMembers([]MemberObservation{{ID: "b"}}, mark).FormerMembers
	if d := cmp.Diff(append(histories(1, maxFormerMembers), "b"), got); d != "" {
		t.Errorf("above the limit: %s", d)
	}
}

// Without a live agent a member is not followed up, as long as the catalogue lists it or its Redis replicates.
func TestState_UpdateMembersWithoutAgent(t *testing.T) {
	st := redis.Status{RunID: "new-b", MasterAddr: "a:1", LinkUp: true, Position: redis.Position{ReplID: "l2", Offset: 9}}
	for _, tt := range []struct {
		name string
		o    MemberObservation
		run  string
	}{
		{"it replicates",
			MemberObservation{ID: "b", MemberKey: MemberKey{RunID: "new-b"}, Replicating: true, InCatalog: true, Status: &st}, "run-b"},
		{"it is listed", MemberObservation{ID: "b", InCatalog: true}, "run-b"},
		{"it answers", MemberObservation{ID: "b", MemberKey: MemberKey{RunID: "new-b"}, InCatalog: true, Status: &st}, "new-b"},
	} {
		if got := threeMembers().UpdateMembers([]MemberObservation{tt.o},
			redis.Position{ReplID: "l2"}).Members["b"]; got.RunID != tt.run {
			t.Errorf("%s: got %+v", tt.name, got)
		}
	}
}
