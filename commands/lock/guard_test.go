package lock

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

func TestGuarding_Next(t *testing.T) {
	auto, off, two := GuardPolicy{GuardAuto, 5}, GuardPolicy{GuardOff, 5}, GuardPolicy{2, 5}
	at := func(n int) Setting { return Setting{n, 5} }
	fence := Setting{1<<31 - 1, 10}
	for _, tt := range []struct {
		name string
		g    Guarding
		do   GuardStep
		to   Setting
	}{
		{"alone it is the operator's", Guarding{auto, Setting{0, 10}, 1, 0, 0, Setting{0, 10}, Setting{0, 10}}, GuardKeep, Setting{0, 10}},
		{"of two it is one", Guarding{auto, Setting{0, 10}, 2, 1, 0, at(0), at(0)}, GuardSet, at(1)},
		{"of three one", Guarding{auto, Setting{0, 10}, 3, 2, 0, at(0), at(0)}, GuardSet, at(1)},
		{"of four two", Guarding{auto, Setting{0, 10}, 4, 3, 0, at(0), at(0)}, GuardSet, at(2)},
		{"of five two", Guarding{auto, Setting{0, 10}, 5, 4, 0, at(0), at(0)}, GuardSet, at(2)},
		{"what was raised is published", Guarding{auto, Setting{0, 10}, 5, 4, 0, at(0), at(2)}, GuardPublish, at(2)},
		{"and then it is kept", Guarding{auto, Setting{0, 10}, 5, 4, 0, at(2), at(2)}, GuardKeep, at(2)},
		{"no more than are attached", Guarding{auto, Setting{0, 10}, 5, 1, 0, at(0), at(0)}, GuardSet, at(1)},
		{"lowered first in Consul", Guarding{auto, Setting{0, 10}, 5, 1, 0, at(2), at(2)}, GuardPublish, at(1)},
		{"then on Redis", Guarding{auto, Setting{0, 10}, 5, 1, 0, at(1), at(2)}, GuardSet, at(1)},
		{"what somebody lowered by hand is raised at once", Guarding{auto, Setting{0, 10}, 3, 2, 0, at(1), at(0)}, GuardSet, at(1)},
		{"unless too few are attached", Guarding{auto, Setting{0, 10}, 3, 0, 0, at(1), at(0)}, GuardPublish, at(0)},
		{"a lag that somebody raised is set", Guarding{auto, Setting{0, 10}, 3, 2, 0, at(1), Setting{1, 60}}, GuardSet, at(1)},
		{"a longer lag is published first", Guarding{GuardPolicy{GuardAuto, 9}, Setting{0, 10}, 3, 2, 0, at(1), at(1)}, GuardPublish, Setting{1, 9}},
		{"a shorter one is set first", Guarding{GuardPolicy{GuardAuto, 2}, Setting{0, 10}, 3, 2, 0, at(1), at(1)}, GuardSet, Setting{1, 2}},
		{"never below the operator's own", Guarding{auto, Setting{2, 10}, 3, 0, 0, at(1), at(1)}, GuardSet, at(2)},
		{"which a lag of 0 switches off", Guarding{auto, Setting{2, 0}, 3, 0, 0, at(0), at(0)}, GuardKeep, at(0)},
		{"a number is taken as it is", Guarding{two, Setting{0, 10}, 3, 2, 0, at(0), at(0)}, GuardSet, at(2)},
		{"but for who is alone", Guarding{two, Setting{0, 10}, 1, 0, 0, Setting{0, 10}, Setting{0, 10}}, GuardKeep, Setting{0, 10}},
		{"a fence is lifted to what it should be", Guarding{auto, Setting{0, 10}, 3, 2, 0, at(1), fence}, GuardSet, at(1)},
		{"or in Consul first", Guarding{auto, Setting{0, 10}, 3, 0, 0, at(1), fence}, GuardPublish, at(0)},
		{"a stranger is not counted: one more is needed", Guarding{auto, Setting{0, 10}, 3, 2, 1, at(1), at(1)}, GuardSet, at(2)},
		{"and that is not published", Guarding{auto, Setting{0, 10}, 3, 2, 1, at(1), at(2)}, GuardKeep, at(1)},
		{"a stranger alone makes no guard", Guarding{auto, Setting{0, 10}, 2, 0, 1, at(0), at(0)}, GuardKeep, at(0)},
		{"once it is gone the guard is what it was", Guarding{auto, Setting{0, 10}, 3, 2, 0, at(1), at(2)}, GuardSet, at(1)},
		{"switched off, it says so first", Guarding{off, Setting{1, 10}, 3, 2, 0, at(1), at(1)}, GuardPublish, Setting{GuardOff, 5}},
		{"then it is the operator's", Guarding{off, Setting{1, 10}, 3, 2, 0, Setting{GuardOff, 5}, at(1)}, GuardSet, Setting{1, 10}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if do, to := tt.g.Next(); do != tt.do || to != tt.to {
				t.Errorf("got %d %v, want %d %v", do, to, tt.do, tt.to)
			}
		})
	}
}

// A challenger counts on what is published: however members and policies change, and wherever the agent dies between two
// steps, as much is set, with a lag as short. And left alone, the steps come to an end where they should.
func TestGuarding_PublishedIsSet(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	own := Setting{0, 10}
	g := Guarding{Own: own, Members: 1, Published: Setting{GuardOff, 0}, Set: own}
	for i := range 20000 {
		if rnd.IntN(3) == 0 {
			g.Members = 1 + rnd.IntN(6)
			g.Attached = rnd.IntN(g.Members)
			g.Strangers = rnd.IntN(3) // one that comes counts from the next step
			g.Policy = GuardPolicy{GuardOff + rnd.IntN(5), 1 + rnd.IntN(9)}
		}
		for n := range 1 + rnd.IntN(4) {
			do, to := g.Next()
			switch do {
			case GuardPublish:
				g.Published = to
			case GuardSet:
				g.Set = to
			case GuardKeep:
				if publish, set := g.Want(); g.Published != publish || g.Set != set {
					t.Fatalf("step %d: kept, and is not as it should be: %+v", i, g)
				}
				if p := g.Published; p.Replicas > 0 && g.Set.Replicas-g.Strangers < p.Replicas && g.Own.Bound().Replicas == 0 {
					t.Fatalf("step %d: strangers are counted on: %+v", i, g)
				}
			}
			if p := g.Published; p.Replicas > 0 && (g.Set.Bound().Replicas < p.Replicas || g.Set.MaxLag > p.MaxLag) {
				t.Fatalf("step %d: published %v, set %v", i, p, g.Set)
			}
			if n == 3 && do != GuardKeep {
				t.Fatalf("step %d: no end after three steps: %+v", i, g)
			}
		}
	}
}

func TestState_Proof(t *testing.T) {
	members := func(n int) map[string]Recorded {
		r := map[string]Recorded{"m": {}}
		for i := range n - 1 {
			r[fmt.Sprint(i)] = Recorded{}
		}
		return r
	}
	for _, tt := range []struct{ members, guard, want int }{
		{2, 1, 1}, {3, 1, 2}, {3, 2, 1}, {4, 2, 2}, {5, 2, 3}, // the rest is too few for the guard
		{3, 0, 0}, {3, GuardOff, 0}, // nothing can prove it
		{3, 7, 1}, // a guard that no replicas satisfy: oneself is enough
	} {
		s := State{Master: &Master{Guard: tt.guard}, Record: members(tt.members)}
		s.Master.ID = "m"
		if got := s.Proof(); got != tt.want {
			t.Errorf("%d members, guard %d: got %d, want %d", tt.members, tt.guard, got, tt.want)
		}
	}
	s := State{Master: &Master{Guard: 1}, Record: members(3)}
	s.Master.ID = "not recorded"
	if got := s.Proof(); got != 3 {
		t.Errorf("a master that is not recorded is one more: got %d, want 3", got)
	}
}
