package cluster

import (
	"maps"
	"testing"
	"time"

	"resec/handlers"
	"resec/handlers/redis"
)

// The successor is a streaming replica with a live agent, the one with the highest offset.
func TestSuccessor(t *testing.T) {
	me := Master{Peer: handlers.Peer{ID: "me", RunID: "run-me", Address: "me:1", Term: 5}}
	k := Snapshot{Observation: Observation{View: View{State: State{Master: &me, Histories: []string{"l"},
		Members: map[string]MemberRecord{
			"me": {RunID: "run-me"}, "a": {RunID: "run-a"}, "b": {RunID: "run-b"}, "tried": {RunID: "run-tried"},
			"j": {RunID: "run-j", CatchingUp: true}, "dead": {RunID: "run-dead"}}},
		LiveAgents: map[string]MemberKey{"a": {Session: "a's"}, "b": {Session: "b's"}, "tried": {Session: "tried's"},
			"j": {Session: "j's"}}}}}
	c := func(id string, offset int64, change ...func(*Candidate)) Candidate {
		c := Candidate{ID: id, AgentAlive: true,
			Status: redis.Status{RunID: "run-" + id, MasterAddr: "me:1", LinkUp: true, Priority: 100, Keys: 1,
				Position: redis.Position{ReplID: "l", Offset: offset}}}
		for _, f := range change {
			f(&c)
		}
		return c
	}
	promoted := c("me", 9, func(c *Candidate) { c.Master, c.MasterAddr, c.LinkUp = true, "", false })
	parkedRedis := func(c *Candidate) { c.MasterAddr, c.LinkUp = redis.Sink, false }
	otherMaster := func(c *Candidate) { c.MasterAddr = "x:1" }
	neverPromoted := func(c *Candidate) { c.Priority = 0 }
	for _, tt := range []struct {
		name string
		cs   []Candidate
		want string
	}{
		{"the highest offset", []Candidate{promoted, c("a", 7), c("b", 8)}, "b"},
		{"none", []Candidate{promoted}, ""},
		{"not one whose agent is dead", []Candidate{promoted, c("dead", 9), c("a", 7)}, "a"},
		{"not one that was tried before", []Candidate{promoted, c("tried", 9), c("a", 7)}, "a"},
		{"not one that is catching up", []Candidate{promoted, c("j", 9)}, ""},
		{"not one with priority 0", []Candidate{promoted, c("a", 9, neverPromoted), c("b", 7)}, "b"},
		{"the older version, which receives what it lacks", []Candidate{promoted, c("a", 9, version("8.0.2")), c("b", 7, version("7.0.15"))},
			"b"},
		{"not one with stream errors", []Candidate{promoted, c("a", 9, func(c *Candidate) { c.StreamErrors = 1 }), c("b", 7)}, "b"},
		{"not a parked one", []Candidate{promoted, c("a", 9, parkedRedis)}, ""},
		{"not a replica of another master", []Candidate{promoted, c("a", 9, otherMaster)}, ""},
		{"one that takes writes before a fresher one, which it reaches", []Candidate{promoted, c("a", 9, full), c("b", 8)}, "b"},
		{"one that refuses them if there is no other", []Candidate{promoted, c("a", 9, full)}, "a"},
		{"not another run than the recorded one", []Candidate{promoted, c("a", 9, func(c *Candidate) { c.RunID = "new" })}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := Successor(tt.cs, k, me, map[string]bool{"tried": true}); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestDecideSwitchover(t *testing.T) {
	me := Master{Peer: handlers.Peer{ID: "me", RunID: "run-me", Address: "10.0.0.9:6379"}}
	k := leading(func(k *Snapshot) {
		k.View.State.Members = map[string]MemberRecord{"me": {RunID: "run-me"}, "a": {RunID: "run-a"}, "b": {RunID: "run-b"},
			"dead": {RunID: "run-dead"}}
		k.View.LiveAgents = map[string]MemberKey{"me": {Session: "mine", Address: me.Address},
			"a": {Session: "a's", RunID: "run-a", Address: "10.0.0.1:6379"},
			"b": {Session: "b's", RunID: "run-b", Address: "10.0.0.2:6379"}, "dead": {RunID: "run-dead"}}
	})
	at := func(id string, offset int64, change ...func(*redis.Status)) Candidate {
		st := redis.Status{RunID: "run-" + id, MasterAddr: me.Address, LinkUp: true, Keys: 1, Priority: 100,
			Position: redis.Position{ReplID: "l", Offset: offset}}
		for _, f := range change {
			f(&st)
		}
		return Candidate{ID: id, AgentAlive: true, InCatalog: true, Status: st}
	}
	master := at("me", 1000, func(s *redis.Status) { s.Master, s.MasterAddr, s.LinkUp = true, "", false })
	linkDown := func(s *redis.Status) { s.LinkUp = false }
	refusing := func(s *redis.Status) {
		s.Refusals = []redis.Refusal{{Code: redis.RefusalDisk, Text: "its disk is full", Now: true}}
	}
	promotedRedis := func(s *redis.Status) { s.Master, s.MasterAddr, s.LinkUp = true, "", false }
	for _, tt := range []struct {
		name       string
		request    Request
		cs         []Candidate
		change     func(*Snapshot)
		to, answer string // empty answer: accepted
	}{
		{"by id", Request{To: "b"}, []Candidate{master, at("a", 1000), at("b", 990)}, nil, "b", ""},
		{"by address", Request{To: "10.0.0.2:6379"}, []Candidate{master, at("a", 1000), at("b", 990)}, nil, "b", ""},
		{"by default the member that is least behind", Request{}, []Candidate{master, at("b", 990), at("a", 1000)}, nil, "a", ""},
		{"no member is eligible", Request{}, []Candidate{master, at("b", 990, linkDown)}, nil, "", "no member is eligible to lead"},
		{"unknown", Request{To: "x"}, []Candidate{master, at("a", 1000)}, nil, "x", "there is no member x"},
		{"the master", Request{To: "me"}, []Candidate{master, at("a", 1000)}, nil, "me", "me is the master already"},
		{"without an agent", Request{To: "dead"}, []Candidate{master, at("dead", 1000)}, nil, "dead", "dead has no live agent"},
		{"unreachable", Request{To: "a"}, []Candidate{master}, nil, "a",
			"the redis of a does not answer, or another instance answers at its address"},
		{"link down", Request{To: "a"}, []Candidate{master, at("a", 1000, linkDown)}, nil, "a", "a does not replicate from the master"},
		{"another history", Request{To: "a"}, []Candidate{master, at("a", 1000, func(s *redis.Status) { s.Position.ReplID = "z" })},
			nil, "a", "a does not replicate from the master"},
		{"too far behind", Request{To: "a"}, []Candidate{at("me", 5<<20, func(s *redis.Status) { s.Master = true }), at("a", 1)}, nil,
			"a", "a is too far behind: 5242879 bytes"},
		{"catching up", Request{To: "a"}, []Candidate{master, at("a", 1)},
			func(k *Snapshot) { k.View.State.Members["a"] = MemberRecord{RunID: "run-a", CatchingUp: true} }, "a",
			"a may not lead: it has not caught up with the master"},
		{"an address that leads another member elsewhere", Request{To: "a"}, []Candidate{master, at("a", 1000)},
			func(k *Snapshot) {
				key := k.View.LiveAgents["b"]
				key.WrongAddresses = key.WrongAddresses.With("a", "10.0.0.1:6379", true)
				k.View.LiveAgents["b"] = key
			}, "a", "a may not lead: 10.0.0.1:6379 leads b to another member's redis: " +
				"ANNOUNCE_ADDR takes an address that leads every host to it"},
		{"priority 0", Request{To: "a"}, []Candidate{master, at("a", 1000, func(s *redis.Status) { s.Priority = 0 })}, nil, "a",
			"a may not lead: its replica-priority is 0"},
		{"it would refuse writes", Request{To: "a"}, []Candidate{master, at("a", 1000, refusing)}, nil, "a",
			"a may not lead: it would refuse writes: its disk is full"},
		{"it refuses writes as the master does", Request{To: "a"}, []Candidate{at("me", 1000, refusing, promotedRedis),
			at("a", 1000, refusing)}, nil, "a", ""},
		{"a dry run where both refuse writes", Request{To: "a", DryRun: true}, []Candidate{at("me", 1000, refusing, promotedRedis),
			at("a", 1000, refusing)}, nil, "a", "a would lead: it replicates from the master and is 0 bytes behind; " +
			"it would refuse writes: its disk is full"},
		{"by default one that takes writes", Request{}, []Candidate{master, at("a", 1000, refusing), at("b", 990)}, nil, "b", ""},
		{"the master is fenced or no master", Request{To: "a"}, []Candidate{at("me", 1000), at("a", 1000)}, nil, "a",
			"the master me does not accept writes"},
		{"paused", Request{To: "a"}, []Candidate{master, at("a", 1000)}, pausedCluster, "a",
			"the cluster is paused until " + time.Date(2030, 1, 1, 0, 0, 0, 0, time.Local).Format(time.RFC3339) + ": disks"},
		{"accepted, then its agent died", Request{To: "dead", Accepted: true}, []Candidate{master}, nil, "dead",
			"the agent of dead is down"},
		{"a dry run", Request{To: "b", DryRun: true}, []Candidate{master, at("b", 990)}, nil, "b",
			"b would lead: it replicates from the master and is 10 bytes behind"},
		{"a dry run towards a newer version", Request{To: "b", DryRun: true},
			[]Candidate{at("me", 1000, func(s *redis.Status) { s.Master, s.MasterAddr, s.LinkUp, s.Version = true, "", false, "7.0.15" }),
				at("b", 990, func(s *redis.Status) { s.Version = "8.0.2" }), at("a", 990, func(s *redis.Status) { s.Version = "8.2.0" })}, nil, "b",
			"b would lead: it replicates from the master and is 10 bytes behind; me (redis 7.0.15) cannot read a full sync of b " +
				"(redis 8.0.2): once it needs one, as after a restart, it loses its data and is parked until it is upgraded"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			now := k
			now.View.State.Members, now.View.LiveAgents = maps.Clone(k.View.State.Members), maps.Clone(k.View.LiveAgents)
			if tt.change != nil {
				tt.change(&now)
			}
			tt.request.Planned = true
			got := DecideSwitchover(tt.request, tt.cs, now, me)
			if got.To != tt.to || got.Answer != tt.answer ||
				got.Accepted != (tt.answer == "" || tt.request.DryRun || tt.request.Accepted) {
				t.Errorf("got %+v, want %q, %q", got, tt.to, tt.answer)
			}
		})
	}
}
