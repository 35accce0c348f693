package failover

import (
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"resec/commands/cluster"
	"resec/commands/status"
	"resec/handlers"
	"resec/handlers/redis"
)

// view is a view of a cluster whose master is a; b is in sync, j is catching up; all agents but that of c are alive.
func view() cluster.View {
	rec := func(id string, catchingUp bool) cluster.MemberRecord {
		return cluster.MemberRecord{RunID: "run-" + id, CatchingUp: catchingUp}
	}
	v := cluster.View{Index: 9, Session: "a's", Holder: "a", StateIndex: 8, LiveAgents: map[string]cluster.MemberKey{}}
	for _, id := range []string{"a", "b", "j", "x", "s"} {
		v.LiveAgents[id] = cluster.MemberKey{Session: id + "'s", RunID: "run-" + id}
	}
	v.State = cluster.State{Histories: []string{"l"}, Master: &cluster.Master{Peer: handlers.Peer{ID: "a", RunID: "run-a",
		Address: "a:1", Term: 4}}}
	v.State.Members = map[string]cluster.MemberRecord{
		"a": rec("a", false), "b": rec("b", false), "c": rec("c", false), "j": rec("j", true), "s": rec("s", false),
	}
	return v
}

// answer is the answer of a replica with ten keys, at an offset of the master's history.
func answer(id string, offset int64, change ...func(*redis.Status)) status.MemberStatus {
	a := status.MemberStatus{
		Member: cluster.Member{ID: id, Address: id + ":1", Check: "passing"},
		Status: redis.Status{RunID: "run-" + id, MasterAddr: "a:1", LinkUp: true, Keys: 10, Dataset: 500, Priority: 100,
			Position: redis.Position{ReplID: "l", Offset: offset}},
	}
	for _, f := range change {
		f(&a.Status)
	}
	return a
}

func master(s *redis.Status)       { s.Master, s.MasterAddr, s.LinkUp = true, "", false }
func unrelated(s *redis.Status)    { s.Position = redis.Position{ReplID: "z", Offset: 900} }
func empty(s *redis.Status)        { s.Keys, s.Dataset, s.Position = 0, 0, redis.Position{ReplID: "y"} }
func priorityZero(s *redis.Status) { s.Priority = 0 }

func unreachable(id string) status.MemberStatus {
	return status.MemberStatus{Member: cluster.Member{ID: id, Address: id + ":1", Check: "critical"}, Err: errors.New("timeout")}
}

func answers() []status.MemberStatus {
	return []status.MemberStatus{
		answer("a", 100, master), answer("b", 90), answer("c", 95), answer("j", 40), unreachable("s"), answer("x", 0, unrelated),
	}
}

func TestRows(t *testing.T) {
	type short struct {
		ID   string
		Rank int
		Why  string
	}
	var got []short
	for _, r := range Rows(view(), answers()) {
		got = append(got, short{r.ID, r.Rank, r.Why})
	}
	state := view().State
	want := []short{
		{"a", 1, "is the master"}, {"c", 2, "its agent is dead"}, {"b", 3, ""},
		{"j", 0, state.NotRecordedReason("j", "run-j")}, {"s", 0, redis.Summary(errors.New("timeout"))},
		{"x", 0, answers()[5].Candidate().IneligibleReason(state, cluster.RecordedOnly)},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestDataLoss(t *testing.T) {
	rows := Rows(view(), append(answers(), answer("e", 0, empty)))
	const overwritten = ": its 10 keys (500 bytes) are overwritten: it has another replication history"
	const unknown = "s: does not answer; all its data is overwritten when it replicates"
	for _, tt := range []struct {
		to   string
		want []string
	}{
		{"b", []string{
			"a: loses the last 10 bytes of its replication stream", "c: loses the last 5 bytes of its replication stream",
			"e: loses nothing: it has no keys", "j: loses nothing", unknown, "x" + overwritten,
		}},
		{"x", []string{"a" + overwritten, "b" + overwritten, "c" + overwritten, "e: loses nothing: it has no keys",
			"j" + overwritten,
			unknown}},
		{"a", []string{
			"b: loses nothing", "c: loses nothing", "e: loses nothing: it has no keys", "j: loses nothing", unknown, "x" + overwritten,
		}},
		{"not a member", nil},
	} {
		got := DataLoss(rows, tt.to)
		if d := cmp.Diff(sorted(tt.want), sorted(got)); d != "" {
			t.Errorf("with %s as master: %s", tt.to, d)
		}
	}
}

// A member that was promoted after the given master was detached has a newer history, and loses its end.
func TestDataLoss_NewerHistory(t *testing.T) {
	newer := func(s *redis.Status) {
		s.Position = redis.Position{ReplID: "n", ReplID2: "l", ReplID2EndOffset: 95, Offset: 130}
	}
	rows := Rows(view(), []status.MemberStatus{answer("b", 90), answer("c", 0, newer)})
	want := []string{"c: loses the last 40 bytes of its replication stream"}
	if d := cmp.Diff(want, DataLoss(rows, "b")); d != "" {
		t.Error(d)
	}
}

func sorted(lines []string) []string { return slices.Sorted(slices.Values(lines)) }

// If every member was restarted, none is in its recorded instance, and each may lead.
func TestRows_AllRestarted(t *testing.T) {
	restarted := func(s *redis.Status) { s.RunID += "-new" }
	v := view()
	v.State.Members = map[string]cluster.MemberRecord{"a": v.State.Members["a"], "b": v.State.Members["b"]}
	both := []status.MemberStatus{answer("a", 90, restarted), answer("b", 90, restarted)}
	for _, r := range Rows(v, both) {
		if r.Rank == 0 || r.Why != "eligible because no member that may lead is in sync in its recorded run" {
			t.Errorf("%s has rank %d, %q", r.ID, r.Rank, r.Why)
		}
	}
	one := []status.MemberStatus{both[0], unreachable("b")} // b may still be in its recorded instance
	if r := Rows(v, one)[0]; r.Rank != 0 {
		t.Errorf("while b is unreachable %s has rank %d", r.ID, r.Rank)
	}
	v.State = cluster.State{} // before the first election there are no recorded members
	for _, r := range Rows(v, both) {
		if r.Rank == 0 || r.Why != "" {
			t.Errorf("before the first election %s has rank %d, %q", r.ID, r.Rank, r.Why)
		}
	}
}

func TestIneligibleReason(t *testing.T) {
	for _, tt := range []struct {
		name string
		a    status.MemberStatus
		want string
	}{
		{"unrelated data is no reason", answer("x", 0, unrelated), ""},
		{"catching up is no reason", answer("j", 1), ""},
		{"a dead agent", answer("c", 95), "its agent is dead, and only that can promote it"},
		{"an unreachable redis", unreachable("s"), redis.Summary(errors.New("timeout"))},
		{"priority 0", answer("b", 90, priorityZero), "its replica-priority is 0"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := IneligibleReason(Rows(view(), []status.MemberStatus{tt.a})[0], view()); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
