package agent

import (
	"testing"

	"resec/commands/cluster"
	"resec/handlers"
	"resec/handlers/redis"
)

// The lock is passed to a linked replica whose agent lives, the furthest of them.
func TestSuccessor(t *testing.T) {
	me := cluster.Master{Peer: handlers.Peer{ID: "me", RunID: "run-me", Address: "me:1", Term: 5}}
	k := snapshot{view: cluster.View{State: cluster.State{Master: &me, Histories: []string{"l"}, Members: map[string]cluster.MemberRecord{
		"me": {RunID: "run-me"}, "a": {RunID: "run-a"}, "b": {RunID: "run-b"}, "tried": {RunID: "run-tried"}, "j": {RunID: "run-j", CatchingUp: true}, "dead": {RunID: "run-dead"}}},
		LiveAgents: map[string]cluster.MemberKey{"a": {Session: "a's"}, "b": {Session: "b's"}, "tried": {Session: "tried's"}, "j": {Session: "j's"}}}}
	c := func(id string, offset int64, change ...func(*cluster.Candidate)) cluster.Candidate {
		c := cluster.Candidate{ID: id, AgentAlive: true, Status: redis.Status{RunID: "run-" + id, MasterAddr: "me:1", LinkUp: true, Priority: 100, Keys: 1,
			Position: redis.Position{ReplID: "l", Offset: offset}}}
		for _, f := range change {
			f(&c)
		}
		return c
	}
	own := c("me", 9, func(c *cluster.Candidate) { c.Master, c.MasterAddr, c.LinkUp = true, "", false })
	parked := func(c *cluster.Candidate) { c.MasterAddr, c.LinkUp = redis.Sink, false }
	elsewhere := func(c *cluster.Candidate) { c.MasterAddr = "x:1" }
	never := func(c *cluster.Candidate) { c.Priority = 0 }
	for _, tt := range []struct {
		name string
		cs   []cluster.Candidate
		want string
	}{
		{"the furthest", []cluster.Candidate{own, c("a", 7), c("b", 8)}, "b"},
		{"nobody", []cluster.Candidate{own}, ""},
		{"not one whose agent is dead", []cluster.Candidate{own, c("dead", 9), c("a", 7)}, "a"},
		{"nor one that gave the lock back", []cluster.Candidate{own, c("tried", 9), c("a", 7)}, "a"},
		{"nor one that joins", []cluster.Candidate{own, c("j", 9)}, ""},
		{"nor one that is never to lead", []cluster.Candidate{own, c("a", 9, never), c("b", 7)}, "b"},
		{"nor one that is parked", []cluster.Candidate{own, c("a", 9, parked)}, ""},
		{"nor one that follows another", []cluster.Candidate{own, c("a", 9, elsewhere)}, ""},
		{"nor a run that is not the recorded one", []cluster.Candidate{own, c("a", 9, func(c *cluster.Candidate) { c.RunID = "new" })}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := successor(tt.cs, k, me, map[string]bool{"tried": true}); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// The operator's own settings are those that Redis had before any of us changed them.
func TestFound_Learn(t *testing.T) {
	its := func(run string, replicas, lag int) operatorSettings {
		return operatorSettings{run, cluster.MinReplicas{Replicas: replicas, MaxLag: lag}}
	}
	noted := func(run string) func(*snapshot) {
		return func(k *snapshot) {
			k.view.LiveAgents = map[string]cluster.MemberKey{"me": {RunID: run, OperatorGuard: cluster.MinReplicas{Replicas: 3, MaxLag: 7}}}
		}
	}
	base := func(change ...func(*snapshot)) snapshot {
		k := snapshot{view: cluster.View{Index: 9}}
		k.health.Status = redis.Status{RunID: "r", MinReplicas: 1, MaxLag: 5}
		for _, f := range change {
			f(&k)
		}
		return k
	}
	for _, tt := range []struct {
		name string
		was  operatorSettings
		k    snapshot
		want operatorSettings
	}{
		{"as Redis has them", operatorSettings{}, base(), its("r", 1, 5)},
		{"as our predecessor noted them of this run", operatorSettings{}, base(noted("r")), its("r", 3, 7)},
		{"not what was noted of another", operatorSettings{}, base(noted("x")), its("r", 1, 5)},
		{"what we know of this run stands", its("r", 2, 8), base(noted("r")), its("r", 2, 8)},
		{"another run has its own", its("x", 2, 8), base(), its("r", 1, 5)},
		{"not before Consul has answered", operatorSettings{}, base(func(k *snapshot) { k.view.Index = 0 }), operatorSettings{}},
		{"what stands under a fence", operatorSettings{}, base(fenced), its("r", 0, 5)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.was.discover(tt.k, "me"); got != tt.want {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
}
