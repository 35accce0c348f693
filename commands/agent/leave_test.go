package agent

import (
	"testing"

	"resec/commands/lock"
	"resec/handlers"
	"resec/handlers/redis"
)

// The lock is passed to a linked replica whose agent lives, the furthest of them.
func TestSuccessor(t *testing.T) {
	me := lock.Master{Peer: handlers.Peer{ID: "me", RunID: "run-me", Address: "me:1", Term: 5}}
	k := known{view: lock.View{State: lock.State{Master: &me, Chain: []string{"l"}, Record: map[string]lock.Recorded{
		"me": {RunID: "run-me"}, "a": {RunID: "run-a"}, "b": {RunID: "run-b"}, "tried": {RunID: "run-tried"}, "j": {RunID: "run-j", Joining: true}, "dead": {RunID: "run-dead"}}},
		Members: map[string]lock.Present{"a": {Session: "a's"}, "b": {Session: "b's"}, "tried": {Session: "tried's"}, "j": {Session: "j's"}}}}
	c := func(id string, offset int64, change ...func(*lock.Candidate)) lock.Candidate {
		c := lock.Candidate{ID: id, Tended: true, Status: redis.Status{RunID: "run-" + id, Of: "me:1", LinkUp: true, Priority: 100, Keys: 1,
			Position: redis.Position{Lineage: "l", Offset: offset}}}
		for _, f := range change {
			f(&c)
		}
		return c
	}
	own := c("me", 9, func(c *lock.Candidate) { c.Master, c.Of, c.LinkUp = true, "", false })
	parked := func(c *lock.Candidate) { c.Of, c.LinkUp = redis.Sink, false }
	elsewhere := func(c *lock.Candidate) { c.Of = "x:1" }
	never := func(c *lock.Candidate) { c.Priority = 0 }
	for _, tt := range []struct {
		name string
		cs   []lock.Candidate
		want string
	}{
		{"the furthest", []lock.Candidate{own, c("a", 7), c("b", 8)}, "b"},
		{"nobody", []lock.Candidate{own}, ""},
		{"not one whose agent is dead", []lock.Candidate{own, c("dead", 9), c("a", 7)}, "a"},
		{"nor one that gave the lock back", []lock.Candidate{own, c("tried", 9), c("a", 7)}, "a"},
		{"nor one that joins", []lock.Candidate{own, c("j", 9)}, ""},
		{"nor one that is never to lead", []lock.Candidate{own, c("a", 9, never), c("b", 7)}, "b"},
		{"nor one that is parked", []lock.Candidate{own, c("a", 9, parked)}, ""},
		{"nor one that follows another", []lock.Candidate{own, c("a", 9, elsewhere)}, ""},
		{"nor a run that is not the recorded one", []lock.Candidate{own, c("a", 9, func(c *lock.Candidate) { c.RunID = "new" })}, ""},
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
	its := func(run string, replicas, lag int) found {
		return found{run, lock.Setting{Replicas: replicas, MaxLag: lag}}
	}
	noted := func(run string) func(*known) {
		return func(k *known) {
			k.view.Members = map[string]lock.Present{"me": {RunID: run, Own: lock.Setting{Replicas: 3, MaxLag: 7}}}
		}
	}
	base := func(change ...func(*known)) known {
		k := known{view: lock.View{Index: 9}}
		k.health.Status = redis.Status{RunID: "r", MinReplicas: 1, MaxLag: 5}
		for _, f := range change {
			f(&k)
		}
		return k
	}
	for _, tt := range []struct {
		name string
		was  found
		k    known
		want found
	}{
		{"as Redis has them", found{}, base(), its("r", 1, 5)},
		{"as our predecessor noted them of this run", found{}, base(noted("r")), its("r", 3, 7)},
		{"not what was noted of another", found{}, base(noted("x")), its("r", 1, 5)},
		{"what we know of this run stands", its("r", 2, 8), base(noted("r")), its("r", 2, 8)},
		{"another run has its own", its("x", 2, 8), base(), its("r", 1, 5)},
		{"not before Consul has answered", found{}, base(func(k *known) { k.view.Index = 0 }), found{}},
		{"what stands under a fence", found{}, base(fenced), its("r", 0, 5)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.was.learn(tt.k, "me"); got != tt.want {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
}
