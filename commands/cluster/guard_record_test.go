package cluster

import (
	"fmt"
	"testing"
)

// What resec sets is recorded, unless it is the operator's own; the state itself is not changed.
func TestState_WithGuardRecorded(t *testing.T) {
	own, guard, zero := MinReplicas{Replicas: 0, MaxLag: 10}, MinReplicas{Replicas: 1, MaxLag: 5}, MinReplicas{MaxLag: 0}
	for _, tt := range []struct {
		name     string
		own, set MinReplicas
		want     bool
	}{
		{"a guard", own, guard, true},
		{"the operator's own", own, own, false},
		{"what the operator's own amounts to", MinReplicas{Replicas: 3}, zero, false},
		{"no guard", own, MinReplicas{Replicas: GuardOff}, false},
	} {
		s := threeMembers()
		if got := s.GuardUnrecorded("me", tt.own, tt.set); got != tt.want {
			t.Errorf("%s: unrecorded %t", tt.name, got)
		}
		after := s.WithGuardRecorded("me", tt.own, tt.set)
		if after.GuardUnrecorded("me", tt.own, tt.set) || len(s.Guards) > 0 {
			t.Errorf("%s: got %v, and was %v", tt.name, after.Guards, s.Guards)
		}
	}
	s := threeMembers().WithGuardRecorded("me", own, guard)
	if got := s.WithGuardRecorded("me", guard, MinReplicas{Replicas: 2, MaxLag: 5}).Guards["me"]; got.Own != guard || len(got.Set) != 2 {
		t.Errorf("another setting of the operator: %+v", got)
	}
	for n := range 2 * maxGuardsSet {
		s = s.WithGuardRecorded("me", own, MinReplicas{Replicas: n, MaxLag: 7})
	}
	if set := s.Guards["me"].Set; len(set) != maxGuardsSet || set[maxGuardsSet-1].Replicas != 2*maxGuardsSet-1 {
		t.Errorf("many: %v", set)
	}
}

// The record of a member that left stays. That of one which is not known any more goes.
func TestState_WithGuardRecorded_Forgets(t *testing.T) {
	s := State{Members: map[string]MemberRecord{"a": {}}, FormerMembers: []string{"left"},
		Guards: map[string]GuardRecord{"left": {}, "unknown": {}}}
	s = s.WithGuardRecorded("a", MinReplicas{MaxLag: 10}, MinReplicas{Replicas: 1, MaxLag: 5})
	if got := fmt.Sprint(s.Guards); got != "map[a:{{0 10} [{1 5}]} left:{{0 0} []}]" {
		t.Errorf("got %s", got)
	}
}

// A setting is the operator's unless resec has made it.
func TestState_OperatorGuard(t *testing.T) {
	at := func(replicas, lag int) MinReplicas { return MinReplicas{Replicas: replicas, MaxLag: lag} }
	s := State{Guards: map[string]GuardRecord{
		"a": {Own: at(0, 10), Set: []MinReplicas{at(1, 5), at(2, 5)}},
		"b": {Own: at(2, 8), Set: []MinReplicas{at(2, 9)}},
	}}
	for _, tt := range []struct {
		id       string
		is, want MinReplicas
	}{
		{"a", at(0, 10), at(0, 10)}, // its own
		{"a", at(1, 5), at(0, 10)},  // ours
		{"a", at(2, 5), at(0, 10)},  // ours, and not the last
		{"a", at(3, 5), at(3, 5)},   // the operator has changed it
		{"a", at(1, 6), at(1, 6)},   // so, too
		{"a", at(2, 9), at(0, 10)},  // ours of another member, whose file was copied
		{"b", at(1, 5), at(2, 8)},
		{"new", at(1, 5), at(0, 10)},
		{"new", at(0, 10), at(0, 10)},
	} {
		if got := s.operatorGuard(tt.id, tt.is); got != tt.want {
			t.Errorf("%s with %v: got %v, want %v", tt.id, tt.is, got, tt.want)
		}
	}
}
