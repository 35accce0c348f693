package agent

import (
	"testing"
	"time"

	"resec/commands/cluster"
	"resec/handlers"
	"resec/handlers/redis"
)

func TestDecide(t *testing.T) {
	me := cluster.Master{Peer: handlers.Peer{ID: "me", RunID: "run-me", Address: "10.0.0.9:6379"}}
	k := reigning(func(k *snapshot) {
		k.view.State.Members = map[string]cluster.MemberRecord{"me": {RunID: "run-me"}, "a": {RunID: "run-a"}, "b": {RunID: "run-b"}, "gone": {RunID: "run-gone"}}
		k.view.LiveAgents = map[string]cluster.MemberKey{"me": {Session: "mine", Address: me.Address}, "a": {Session: "a's", RunID: "run-a", Address: "10.0.0.1:6379"},
			"b": {Session: "b's", RunID: "run-b", Address: "10.0.0.2:6379"}, "gone": {RunID: "run-gone"}}
	})
	at := func(id string, offset int64, change ...func(*redis.Status)) cluster.Candidate {
		st := redis.Status{RunID: "run-" + id, MasterAddr: me.Address, LinkUp: true, Keys: 1, Priority: 100, Position: redis.Position{ReplID: "l", Offset: offset}}
		for _, f := range change {
			f(&st)
		}
		return cluster.Candidate{ID: id, AgentAlive: true, InCatalog: true, Status: st}
	}
	master := at("me", 1000, func(s *redis.Status) { s.Master, s.MasterAddr, s.LinkUp = true, "", false })
	unlinked := func(s *redis.Status) { s.LinkUp = false }
	for _, tt := range []struct {
		name     string
		ask      cluster.Request
		cs       []cluster.Candidate
		change   func(*snapshot)
		to, says string // says nothing: accepted
	}{
		{"by id", cluster.Request{To: "b"}, []cluster.Candidate{master, at("a", 1000), at("b", 990)}, nil, "b", ""},
		{"by address", cluster.Request{To: "10.0.0.2:6379"}, []cluster.Candidate{master, at("a", 1000), at("b", 990)}, nil, "b", ""},
		{"whoever lacks least", cluster.Request{}, []cluster.Candidate{master, at("b", 990), at("a", 1000)}, nil, "a", ""},
		{"nobody is fit", cluster.Request{}, []cluster.Candidate{master, at("b", 990, unlinked)}, nil, "", "no member is fit to lead"},
		{"unknown", cluster.Request{To: "x"}, []cluster.Candidate{master, at("a", 1000)}, nil, "x", "there is no member x"},
		{"the master", cluster.Request{To: "me"}, []cluster.Candidate{master, at("a", 1000)}, nil, "me", "me is the master already"},
		{"without an agent", cluster.Request{To: "gone"}, []cluster.Candidate{master, at("gone", 1000)}, nil, "gone", "gone has no agent that lives"},
		{"silent", cluster.Request{To: "a"}, []cluster.Candidate{master}, nil, "a", "the redis of a does not answer, or is another"},
		{"not linked", cluster.Request{To: "a"}, []cluster.Candidate{master, at("a", 1000, unlinked)}, nil, "a", "a is not linked to the master"},
		{"another history", cluster.Request{To: "a"}, []cluster.Candidate{master, at("a", 1000, func(s *redis.Status) { s.Position.ReplID = "z" })}, nil, "a", "a is not linked to the master"},
		{"too far behind", cluster.Request{To: "a"}, []cluster.Candidate{at("me", 5<<20, func(s *redis.Status) { s.Master = true }), at("a", 1)}, nil, "a", "a is too far behind: 5242879 bytes"},
		{"joining", cluster.Request{To: "a"}, []cluster.Candidate{master, at("a", 1)}, func(k *snapshot) { k.view.State.Members["a"] = cluster.MemberRecord{RunID: "run-a", CatchingUp: true} }, "a",
			"a may not lead: it has not caught up with the master"},
		{"against its priority", cluster.Request{To: "a"}, []cluster.Candidate{master, at("a", 1000, func(s *redis.Status) { s.Priority = 0 })}, nil, "a", "a may not lead: its replica-priority is 0"},
		{"the master refuses writes", cluster.Request{To: "a"}, []cluster.Candidate{at("me", 1000), at("a", 1000)}, nil, "a", "the master me does not accept writes"},
		{"paused", cluster.Request{To: "a"}, []cluster.Candidate{master, at("a", 1000)}, paused, "a",
			"the cluster is paused until " + time.Date(2030, 1, 1, 0, 0, 0, 0, time.Local).Format(time.RFC3339) + ": disks"},
		{"accepted, and its agent has died since", cluster.Request{To: "gone", Accepted: true}, []cluster.Candidate{master}, nil, "gone", "the agent of gone is gone"},
		{"a dry run", cluster.Request{To: "b", DryRun: true}, []cluster.Candidate{master, at("b", 990)}, nil, "b", "b would lead: it is linked, and 10 bytes behind"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			now := k
			now.view.State.Members = map[string]cluster.MemberRecord{}
			for id, r := range k.view.State.Members {
				now.view.State.Members[id] = r
			}
			if tt.change != nil {
				tt.change(&now)
			}
			tt.ask.Planned = true
			got := decideSwitchover(tt.ask, tt.cs, now, me)
			if got.To != tt.to || got.Answer != tt.says || got.Accepted != (tt.says == "" || tt.ask.DryRun || tt.ask.Accepted) {
				t.Errorf("got %+v, want %q, %q", got, tt.to, tt.says)
			}
		})
	}
}

func TestChange(t *testing.T) {
	began := time.Now()
	steps := []cluster.Step{{Name: "peers_parked", At: time.Millisecond}, {Name: "writes_enabled", At: 5 * time.Millisecond}}
	drained := []cluster.Step{{Name: "paused", At: 2 * time.Millisecond}, {Name: "writes_enabled", At: 9 * time.Millisecond}}
	after := reigning().view
	for _, tt := range []struct {
		name   string
		before snapshot
		since  time.Time
		steps  []cluster.Step
		moved  bool
		cause  string
		outage time.Duration
	}{
		{"since the lock is free", situation(func(k *snapshot) { k.view.State.Why = cluster.WhyDead }), began.Add(-time.Second), steps, true, "dead", time.Second + 5*time.Millisecond},
		{"since it was passed", situation(func(k *snapshot) { k.view.State.Why = cluster.WhyLeaving }), time.Time{}, drained, true, "leaving", 7 * time.Millisecond},
		{"while the old master goes on", situation(), began.Add(-time.Second), drained, true, "the lock was lost", 7 * time.Millisecond},
		{"by plan", situation(asked("me"), func(k *snapshot) { k.view.Request.Planned, k.view.Request.Accepted = true, true }), time.Time{}, drained, true, "switchover", 7 * time.Millisecond},
		{"by force", situation(asked("me")), time.Time{}, drained, true, "failover by force", 7 * time.Millisecond},
		{"from nobody", situation(unpublished), began, steps, true, "the first master", 0},
		{"from itself", reigning(), began, steps, false, "the lock was lost", 5 * time.Millisecond},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, moved := mastershipChange(tt.before, after, tt.since, began, tt.steps)
			if moved != tt.moved || c.Cause != tt.cause || c.Outage != tt.outage || c.To != "me" || c.Term != 5 {
				t.Errorf("got %+v, %t", c, moved)
			}
		})
	}
}
