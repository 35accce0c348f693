package failover

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"resec/commands/cluster"
	"resec/commands/status"
	"resec/handlers"
	"resec/handlers/redis"
)

// view is a cluster whose master is a; b has caught up, j joins; the agents of all but c live.
func view() cluster.View {
	rec := func(id string, joining bool) cluster.MemberRecord {
		return cluster.MemberRecord{RunID: "run-" + id, CatchingUp: joining}
	}
	here := func(id string) cluster.MemberKey { return cluster.MemberKey{Session: id + "'s", RunID: "run-" + id} }
	return cluster.View{Index: 9, Session: "a's", Holder: "a", StateIndex: 8,
		LiveAgents: map[string]cluster.MemberKey{"a": here("a"), "b": here("b"), "j": here("j"), "x": here("x"), "s": here("s")},
		State: cluster.State{Histories: []string{"l"}, Master: &cluster.Master{Peer: handlers.Peer{ID: "a", RunID: "run-a", Address: "a:1", Term: 4}},
			Members: map[string]cluster.MemberRecord{"a": rec("a", false), "b": rec("b", false), "c": rec("c", false), "j": rec("j", true), "s": rec("s", false)}}}
}

func answer(id string, offset int64, change ...func(*redis.Status)) status.MemberStatus {
	a := status.MemberStatus{Member: cluster.Member{ID: id, Address: id + ":1", Check: "passing"}, Status: redis.Status{RunID: "run-" + id, MasterAddr: "a:1", LinkUp: true,
		Keys: 10, Dataset: 500, Priority: 100, Position: redis.Position{ReplID: "l", Offset: offset}}}
	for _, f := range change {
		f(&a.Status)
	}
	return a
}

func master(s *redis.Status)  { s.Master, s.MasterAddr, s.LinkUp = true, "", false }
func foreign(s *redis.Status) { s.Position = redis.Position{ReplID: "z", Offset: 900} }
func empty(s *redis.Status)   { s.Keys, s.Dataset, s.Position = 0, 0, redis.Position{ReplID: "y"} }
func never(s *redis.Status)   { s.Priority = 0 }

func silent(id string) status.MemberStatus {
	return status.MemberStatus{Member: cluster.Member{ID: id, Address: id + ":1", Check: "critical"}, Err: errors.New("timeout")}
}

func answers() []status.MemberStatus {
	return []status.MemberStatus{answer("a", 100, master), answer("b", 90), answer("c", 95), answer("j", 40), silent("s"), answer("x", 0, foreign)}
}

func TestRanking(t *testing.T) {
	type short struct {
		ID   string
		Rank int
		Why  string
	}
	var got []short
	for _, r := range Rows(view(), answers()) {
		got = append(got, short{r.ID, r.Rank, r.Why})
	}
	want := []short{
		{"a", 1, "is the master"}, {"c", 2, "its agent is dead"}, {"b", 3, ""},
		{"j", 0, "it has not caught up with the master"}, {"s", 0, "it does not answer"}, {"x", 0, "its data were never this cluster's"},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestCost(t *testing.T) {
	rows := Rows(view(), append(answers(), answer("e", 0, empty)))
	for _, tt := range []struct {
		to   string
		want []string
	}{
		{"b", []string{"a: loses the last 10 bytes of its replication stream", "c: loses the last 5 bytes of its replication stream", "e: loses nothing: it has no keys",
			"j: loses nothing", "s: does not answer; whatever it holds is overwritten once it follows", "x: its 10 keys (500 bytes) are overwritten: its history is another"}},
		{"x", []string{"a: its 10 keys (500 bytes) are overwritten: its history is another", "c: its 10 keys (500 bytes) are overwritten: its history is another",
			"b: its 10 keys (500 bytes) are overwritten: its history is another", "e: loses nothing: it has no keys", "j: its 10 keys (500 bytes) are overwritten: its history is another",
			"s: does not answer; whatever it holds is overwritten once it follows"}},
		{"nobody", nil},
	} {
		got := DataLoss(rows, tt.to)
		if d := cmp.Diff(sorted(tt.want), sorted(got)); d != "" {
			t.Errorf("with %s as master: %s", tt.to, d)
		}
	}
}

func sorted(in []string) map[string]bool {
	out := map[string]bool{}
	for _, l := range in {
		out[l] = true
	}
	return out
}

func TestImpossible(t *testing.T) {
	for _, tt := range []struct {
		name string
		a    status.MemberStatus
		want string
	}{
		{"whatever it holds it can", answer("x", 0, foreign), ""},
		{"also while it joins", answer("j", 1), ""},
		{"not without an agent", answer("c", 95), "it has no agent that lives, to promote it"},
		{"not while its redis is silent", silent("s"), "it does not answer"},
		{"not against its priority", answer("b", 90, never), "its replica-priority is 0"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := IneligibleReason(Rows(view(), []status.MemberStatus{tt.a})[0], view()); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
