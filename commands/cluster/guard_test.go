package cluster

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

func guardState(policy GuardPolicy, operator MinReplicas, members, attached, unknown int, published, set MinReplicas) GuardState {
	return GuardState{Policy: policy, OperatorGuard: operator, Members: members, Attached: attached, UnknownReplicas: unknown,
		Published: published, Set: set}
}

// withPassive is the state with a client that receives the stream.
func withPassive(g GuardState) GuardState { g.PassiveReplicas = 1; return g }

func TestGuardState_NextStep(t *testing.T) {
	auto, off, two := GuardPolicy{Replicas: GuardAuto, MaxLag: 5}, GuardPolicy{Replicas: GuardOff, MaxLag: 5},
		GuardPolicy{Replicas: 2, MaxLag: 5}
	at := func(n int) MinReplicas { return MinReplicas{Replicas: n, MaxLag: 5} }
	operator := MinReplicas{Replicas: 0, MaxLag: 10}
	fence := MinReplicas{Replicas: 1<<31 - 1, MaxLag: 10}
	for _, tt := range []struct {
		name string
		g    GuardState
		do   GuardStep
		to   MinReplicas
	}{
		{"a single member has the operator's", guardState(auto, operator, 1, 0, 0, operator, operator), GuardDone, operator},
		{"one for two members", guardState(auto, operator, 2, 1, 0, at(0), at(0)), GuardSet, at(1)},
		{"one for three", guardState(auto, operator, 3, 2, 0, at(0), at(0)), GuardSet, at(1)},
		{"two for four", guardState(auto, operator, 4, 3, 0, at(0), at(0)), GuardSet, at(2)},
		{"two for five", guardState(auto, operator, 5, 4, 0, at(0), at(0)), GuardSet, at(2)},
		{"publish what was raised", guardState(auto, operator, 5, 4, 0, at(0), at(2)), GuardPublish, at(2)},
		{"then it is done", guardState(auto, operator, 5, 4, 0, at(2), at(2)), GuardDone, at(2)},
		{"no more than are attached", guardState(auto, operator, 5, 1, 0, at(0), at(0)), GuardSet, at(1)},
		{"lower it in Consul first", guardState(auto, operator, 5, 1, 0, at(2), at(2)), GuardPublish, at(1)},
		{"then on Redis", guardState(auto, operator, 5, 1, 0, at(1), at(2)), GuardSet, at(1)},
		{"raise at once what was lowered by hand", guardState(auto, operator, 3, 2, 0, at(1), at(0)), GuardSet, at(1)},
		{"unless too few are attached", guardState(auto, operator, 3, 0, 0, at(1), at(0)), GuardPublish, at(0)},
		{"set a lag that was raised by hand", guardState(auto, operator, 3, 2, 0, at(1), MinReplicas{Replicas: 1, MaxLag: 60}),
			GuardSet, at(1)},
		{"publish a longer lag first", guardState(GuardPolicy{Replicas: GuardAuto, MaxLag: 9}, operator, 3, 2, 0, at(1), at(1)),
			GuardPublish, MinReplicas{Replicas: 1, MaxLag: 9}},
		{"set a shorter lag first", guardState(GuardPolicy{Replicas: GuardAuto, MaxLag: 2}, operator, 3, 2, 0, at(1), at(1)), GuardSet,
			MinReplicas{Replicas: 1, MaxLag: 2}},
		{"never below the operator's own", guardState(auto, MinReplicas{Replicas: 2, MaxLag: 10}, 3, 0, 0, at(1), at(1)), GuardSet,
			at(2)},
		{"which a lag of 0 disables", guardState(auto, MinReplicas{Replicas: 2, MaxLag: 0}, 3, 0, 0, at(0), at(0)), GuardDone, at(0)},
		{"a configured number is used as it is", guardState(two, operator, 3, 2, 0, at(0), at(0)), GuardSet, at(2)},
		{"but not for a single member", guardState(two, operator, 1, 0, 0, operator, operator), GuardDone, operator},
		{"lift a fence to the desired guard", guardState(auto, operator, 3, 2, 0, at(1), fence), GuardSet, at(1)},
		{"publish the weaker guard before the fence is lifted", guardState(auto, operator, 3, 0, 0, at(1), fence), GuardPublish, at(0)},
		{"raise it by one for an unknown replica", guardState(auto, operator, 3, 2, 1, at(1), at(1)), GuardSet, at(2)},
		{"which is not published", guardState(auto, operator, 3, 2, 1, at(1), at(2)), GuardDone, at(1)},
		{"an unknown replica alone causes no guard", guardState(auto, operator, 2, 0, 1, at(0), at(0)), GuardDone, at(0)},
		{"lower it again once the unknown replica has left", guardState(auto, operator, 3, 2, 0, at(1), at(2)), GuardSet, at(1)},
		{"a client that replicates does not raise it", withPassive(guardState(auto, operator, 3, 2, 0, at(1), at(1))), GuardDone, at(1)},
		{"unless the operator's own counts on it", withPassive(guardState(auto, at(1), 3, 0, 0, at(1), at(1))), GuardSet, at(2)},
		{"publish first that it is off", guardState(off, MinReplicas{Replicas: 1, MaxLag: 10}, 3, 2, 0, at(1), at(1)), GuardPublish,
			MinReplicas{Replicas: GuardOff, MaxLag: 5}},
		{"then set the operator's",
			guardState(off, MinReplicas{Replicas: 1, MaxLag: 10}, 3, 2, 0, MinReplicas{Replicas: GuardOff, MaxLag: 5}, at(1)), GuardSet,
			MinReplicas{Replicas: 1, MaxLag: 10}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if do, to := tt.g.NextStep(); do != tt.do || to != tt.to {
				t.Errorf("got %d %v, want %d %v", do, to, tt.do, tt.to)
			}
		})
	}
}

// However members and policies change, and after whichever step the agent dies: the guard that is set is at least the published
// one, with a lag that is no longer. Without changes the steps end at the desired guard.
func TestGuardState_PublishedIsSet(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	operator := MinReplicas{Replicas: 0, MaxLag: 10}
	g := GuardState{OperatorGuard: operator, Members: 1, Published: MinReplicas{Replicas: GuardOff, MaxLag: 0}, Set: operator}
	for i := range 20000 {
		if rnd.IntN(3) == 0 {
			g.Members = 1 + rnd.IntN(6)
			g.Attached = rnd.IntN(g.Members)
			g.UnknownReplicas = rnd.IntN(3) // a new one counts from the next step
			g.Policy = GuardPolicy{Replicas: GuardOff + rnd.IntN(5), MaxLag: 1 + rnd.IntN(9)}
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
					t.Fatalf("step %d: done, but not as desired: %+v", i, g)
				}
				if p := g.Published; p.Replicas > 0 && g.Set.Replicas-g.UnknownReplicas < p.Replicas &&
					g.OperatorGuard.Effective().Replicas == 0 {
					t.Fatalf("step %d: unknown replicas are counted: %+v", i, g)
				}
			}
			if p := g.Published; p.Replicas > 0 && (g.Set.Effective().Replicas < p.Replicas || g.Set.MaxLag > p.MaxLag) {
				t.Fatalf("step %d: published %v, set %v", i, p, g.Set)
			}
			if n == 3 && do != GuardDone {
				t.Fatalf("step %d: not done after three steps: %+v", i, g)
			}
		}
	}
}

func TestState_DetachQuorum(t *testing.T) {
	members := func(n int) map[string]MemberRecord {
		r := map[string]MemberRecord{"m": {}}
		for i := range n - 1 {
			r[fmt.Sprint(i)] = MemberRecord{}
		}
		return r
	}
	for _, tt := range []struct{ members, guard, want int }{
		{2, 1, 1}, {3, 1, 2}, {3, 2, 1}, {4, 2, 2}, {5, 2, 3}, // the remaining replicas are too few for the guard
		{3, 0, 0}, {3, GuardOff, 0}, // nothing can prove it
		{3, 7, 1}, // a guard above the number of replicas: one member is enough
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
		t.Errorf("an unrecorded master counts as a member: got %d, want 3", got)
	}
}

func TestState_Guard(t *testing.T) {
	s := threeMembers().WithGuard(MinReplicas{Replicas: 2, MaxLag: 7})
	if got := s.Guard(); got != (MinReplicas{Replicas: 2, MaxLag: 7}) {
		t.Errorf("got %+v", got)
	}
	if got := (State{}).Guard(); got != (MinReplicas{}) || (State{}).DetachQuorum() != 0 {
		t.Errorf("without a master: %+v", got)
	}
	if before := threeMembers(); before.WithGuard(MinReplicas{Replicas: 2}).Guard() == before.Guard() || before.Master.Guard != 0 {
		t.Error("the state itself was changed")
	}
}

func TestGuardPolicy_MaxCountedLag(t *testing.T) {
	for lag, want := range map[int]int{1: 2, 3: 2, 4: 3, 10: 9} {
		if got := (GuardPolicy{MaxLag: lag}).MaxCountedLag(); got != want {
			t.Errorf("lag %d: got %d, want %d", lag, got, want)
		}
	}
}

func TestGuardState_RestoreStep(t *testing.T) {
	published := MinReplicas{Replicas: 2, MaxLag: 5}
	for _, tt := range []struct {
		name string
		set  MinReplicas
		want GuardStep
	}{
		{"as published", published, GuardDone},
		{"lowered by hand", MinReplicas{Replicas: 1, MaxLag: 5}, GuardSet},
		{"without an effect", MinReplicas{Replicas: 2}, GuardSet},
		{"raised for unknown replicas", MinReplicas{Replicas: 3, MaxLag: 5}, GuardDone},
		{"fenced", MinReplicas{Replicas: math.MaxInt32, MaxLag: 5}, GuardDone},
	} {
		step, to := GuardState{Published: published, Set: tt.set}.RestoreStep()
		if step != tt.want || step == GuardSet && to != published {
			t.Errorf("%s: got %v, %+v", tt.name, step, to)
		}
	}
	if step, _ := (GuardState{Published: MinReplicas{Replicas: GuardOff}}).RestoreStep(); step != GuardDone {
		t.Error("there is no guard to restore")
	}
}
