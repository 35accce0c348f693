package cluster

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

func TestGuarding_Next(t *testing.T) {
	auto, off, two := GuardPolicy{GuardAuto, 5}, GuardPolicy{GuardOff, 5}, GuardPolicy{2, 5}
	at := func(n int) MinReplicas { return MinReplicas{n, 5} }
	fence := MinReplicas{1<<31 - 1, 10}
	for _, tt := range []struct {
		name string
		g    GuardState
		do   GuardStep
		to   MinReplicas
	}{
		{"alone it is the operator's", GuardState{auto, MinReplicas{0, 10}, 1, 0, 0, MinReplicas{0, 10}, MinReplicas{0, 10}}, GuardDone, MinReplicas{0, 10}},
		{"of two it is one", GuardState{auto, MinReplicas{0, 10}, 2, 1, 0, at(0), at(0)}, GuardSet, at(1)},
		{"of three one", GuardState{auto, MinReplicas{0, 10}, 3, 2, 0, at(0), at(0)}, GuardSet, at(1)},
		{"of four two", GuardState{auto, MinReplicas{0, 10}, 4, 3, 0, at(0), at(0)}, GuardSet, at(2)},
		{"of five two", GuardState{auto, MinReplicas{0, 10}, 5, 4, 0, at(0), at(0)}, GuardSet, at(2)},
		{"what was raised is published", GuardState{auto, MinReplicas{0, 10}, 5, 4, 0, at(0), at(2)}, GuardPublish, at(2)},
		{"and then it is kept", GuardState{auto, MinReplicas{0, 10}, 5, 4, 0, at(2), at(2)}, GuardDone, at(2)},
		{"no more than are attached", GuardState{auto, MinReplicas{0, 10}, 5, 1, 0, at(0), at(0)}, GuardSet, at(1)},
		{"lowered first in Consul", GuardState{auto, MinReplicas{0, 10}, 5, 1, 0, at(2), at(2)}, GuardPublish, at(1)},
		{"then on Redis", GuardState{auto, MinReplicas{0, 10}, 5, 1, 0, at(1), at(2)}, GuardSet, at(1)},
		{"what somebody lowered by hand is raised at once", GuardState{auto, MinReplicas{0, 10}, 3, 2, 0, at(1), at(0)}, GuardSet, at(1)},
		{"unless too few are attached", GuardState{auto, MinReplicas{0, 10}, 3, 0, 0, at(1), at(0)}, GuardPublish, at(0)},
		{"a lag that somebody raised is set", GuardState{auto, MinReplicas{0, 10}, 3, 2, 0, at(1), MinReplicas{1, 60}}, GuardSet, at(1)},
		{"a longer lag is published first", GuardState{GuardPolicy{GuardAuto, 9}, MinReplicas{0, 10}, 3, 2, 0, at(1), at(1)}, GuardPublish, MinReplicas{1, 9}},
		{"a shorter one is set first", GuardState{GuardPolicy{GuardAuto, 2}, MinReplicas{0, 10}, 3, 2, 0, at(1), at(1)}, GuardSet, MinReplicas{1, 2}},
		{"never below the operator's own", GuardState{auto, MinReplicas{2, 10}, 3, 0, 0, at(1), at(1)}, GuardSet, at(2)},
		{"which a lag of 0 switches off", GuardState{auto, MinReplicas{2, 0}, 3, 0, 0, at(0), at(0)}, GuardDone, at(0)},
		{"a number is taken as it is", GuardState{two, MinReplicas{0, 10}, 3, 2, 0, at(0), at(0)}, GuardSet, at(2)},
		{"but for who is alone", GuardState{two, MinReplicas{0, 10}, 1, 0, 0, MinReplicas{0, 10}, MinReplicas{0, 10}}, GuardDone, MinReplicas{0, 10}},
		{"a fence is lifted to what it should be", GuardState{auto, MinReplicas{0, 10}, 3, 2, 0, at(1), fence}, GuardSet, at(1)},
		{"or in Consul first", GuardState{auto, MinReplicas{0, 10}, 3, 0, 0, at(1), fence}, GuardPublish, at(0)},
		{"a stranger is not counted: one more is needed", GuardState{auto, MinReplicas{0, 10}, 3, 2, 1, at(1), at(1)}, GuardSet, at(2)},
		{"and that is not published", GuardState{auto, MinReplicas{0, 10}, 3, 2, 1, at(1), at(2)}, GuardDone, at(1)},
		{"a stranger alone makes no guard", GuardState{auto, MinReplicas{0, 10}, 2, 0, 1, at(0), at(0)}, GuardDone, at(0)},
		{"once it is gone the guard is what it was", GuardState{auto, MinReplicas{0, 10}, 3, 2, 0, at(1), at(2)}, GuardSet, at(1)},
		{"switched off, it says so first", GuardState{off, MinReplicas{1, 10}, 3, 2, 0, at(1), at(1)}, GuardPublish, MinReplicas{GuardOff, 5}},
		{"then it is the operator's", GuardState{off, MinReplicas{1, 10}, 3, 2, 0, MinReplicas{GuardOff, 5}, at(1)}, GuardSet, MinReplicas{1, 10}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if do, to := tt.g.NextStep(); do != tt.do || to != tt.to {
				t.Errorf("got %d %v, want %d %v", do, to, tt.do, tt.to)
			}
		})
	}
}

// A challenger counts on what is published: however members and policies change, and wherever the agent dies between two
// steps, as much is set, with a lag as short. And left alone, the steps come to an end where they should.
func TestGuarding_PublishedIsSet(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	own := MinReplicas{0, 10}
	g := GuardState{OperatorGuard: own, Members: 1, Published: MinReplicas{GuardOff, 0}, Set: own}
	for i := range 20000 {
		if rnd.IntN(3) == 0 {
			g.Members = 1 + rnd.IntN(6)
			g.Attached = rnd.IntN(g.Members)
			g.UnknownReplicas = rnd.IntN(3) // one that comes counts from the next step
			g.Policy = GuardPolicy{GuardOff + rnd.IntN(5), 1 + rnd.IntN(9)}
		}
		for n := range 1 + rnd.IntN(4) {
			do, to := g.NextStep()
			switch do {
			case GuardPublish:
				g.Published = to
			case GuardSet:
				g.Set = to
			case GuardDone:
				if publish, set := g.Desired(); g.Published != publish || g.Set != set {
					t.Fatalf("step %d: kept, and is not as it should be: %+v", i, g)
				}
				if p := g.Published; p.Replicas > 0 && g.Set.Replicas-g.UnknownReplicas < p.Replicas && g.OperatorGuard.Effective().Replicas == 0 {
					t.Fatalf("step %d: strangers are counted on: %+v", i, g)
				}
			}
			if p := g.Published; p.Replicas > 0 && (g.Set.Effective().Replicas < p.Replicas || g.Set.MaxLag > p.MaxLag) {
				t.Fatalf("step %d: published %v, set %v", i, p, g.Set)
			}
			if n == 3 && do != GuardDone {
				t.Fatalf("step %d: no end after three steps: %+v", i, g)
			}
		}
	}
}

func TestState_Proof(t *testing.T) {
	members := func(n int) map[string]MemberRecord {
		r := map[string]MemberRecord{"m": {}}
		for i := range n - 1 {
			r[fmt.Sprint(i)] = MemberRecord{}
		}
		return r
	}
	for _, tt := range []struct{ members, guard, want int }{
		{2, 1, 1}, {3, 1, 2}, {3, 2, 1}, {4, 2, 2}, {5, 2, 3}, // the rest is too few for the guard
		{3, 0, 0}, {3, GuardOff, 0}, // nothing can prove it
		{3, 7, 1}, // a guard that no replicas satisfy: oneself is enough
	} {
		s := State{Master: &Master{Guard: tt.guard}, Members: members(tt.members)}
		s.Master.ID = "m"
		if got := s.DetachQuorum(); got != tt.want {
			t.Errorf("%d members, guard %d: got %d, want %d", tt.members, tt.guard, got, tt.want)
		}
	}
	s := State{Master: &Master{Guard: 1}, Members: members(3)}
	s.Master.ID = "not recorded"
	if got := s.DetachQuorum(); got != 3 {
		t.Errorf("a master that is not recorded is one more: got %d, want 3", got)
	}
}
