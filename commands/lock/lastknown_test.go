package lock

import (
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/hashicorp/consul/api"

	"resec/commands/cluster"
	"resec/handlers"
)

func TestLastKnownState(t *testing.T) {
	led := func(id string) cluster.State {
		return cluster.State{Master: &cluster.Master{Peer: handlers.Peer{ID: id, Term: 5}}}
	}
	shown := func(s cluster.State) cluster.View { return cluster.View{Index: 9, StateIndex: 9, State: s} }
	free := cluster.View{Index: 12, LockIndex: 0}
	for _, tt := range []struct {
		name  string
		saw   []cluster.View
		shown cluster.View
		want  cluster.View
	}{
		{"a cluster without a state is new if no state was seen before", nil, free, free},
		{"a state without a master is not remembered", []cluster.View{shown(cluster.State{Service: "x"})}, free, free},
		{"a state in Consul wins", []cluster.View{shown(led("a"))}, shown(led("b")), shown(led("b"))},
		{"a state that vanished is filled in", []cluster.View{shown(led("a")), shown(led("b"))}, free,
			cluster.View{Index: 12, State: led("b"), FromLastKnown: true}},
		{"also into the second view", []cluster.View{shown(led("a")), free}, free,
			cluster.View{Index: 12, State: led("a"), FromLastKnown: true}},
		{"also if a member without that memory acquired the lock", []cluster.View{shown(led("a"))},
			cluster.View{Index: 12, StateIndex: 11, Session: "s"},
			cluster.View{Index: 12, StateIndex: 11, Session: "s", State: led("a"), FromLastKnown: true}},
		{"a state that cannot be read is replaced", []cluster.View{shown(led("a"))},
			cluster.View{Index: 12, StateIndex: 11, Err: fmt.Errorf("read the state")},
			cluster.View{Index: 12, StateIndex: 11, State: led("a"), FromLastKnown: true}},
		{"also if the lock's key is damaged", []cluster.View{shown(led("a"))}, cluster.View{Index: 12, Err: cluster.ErrConflict},
			cluster.View{Index: 12, State: led("a"), FromLastKnown: true}},
		{"a state that cannot be read is not remembered",
			[]cluster.View{shown(led("a")), {Index: 10, StateIndex: 10, State: led("x"), Err: fmt.Errorf("read the state")}}, free,
			cluster.View{Index: 12, State: led("a"), FromLastKnown: true}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := Lock{Key: "k", LastKnown: &LastKnownState{}}
			for _, v := range tt.saw {
				l.LastKnown.fill(v)
			}
			if d := cmp.Diff(tt.want, l.LastKnown.fill(tt.shown), cmpopts.EquateErrors()); d != "" {
				t.Error(d)
			}
		})
	}
}

// A state with a master that has no ID or no address counts as damaged.
func TestLastKnownState_IncompleteMaster(t *testing.T) {
	l := Lock{Key: "k", LastKnown: &LastKnownState{}}
	l.LastKnown.fill(cluster.View{State: cluster.State{Master: &cluster.Master{Peer: handlers.Peer{ID: "a", Address: "a:1",
		Term: 5}}}})
	for _, text := range []string{`{"master":{}}`, `{"master":{"id":"b"}}`, `{"master":{"address":"b:1"}}`, `{`, `[]`} {
		if v := l.Parse(8, api.KVPairs{{Key: "k/state", Value: []byte(text), ModifyIndex: 7}}); !v.FromLastKnown ||
			v.State.Master.ID != "a" || v.Err != nil {
			t.Errorf("%s gives %+v", text, v)
		}
	}
}

// A write of our own is remembered before a read shows it, and the view after it is Consul's again.
func TestLastKnownState_OwnWrite(t *testing.T) {
	l := Lock{Key: "k", LastKnown: &LastKnownState{}}
	s := cluster.State{Master: &cluster.Master{Peer: handlers.Peer{ID: "a", Term: 5}}}
	v := l.afterWrite(cluster.View{FromLastKnown: true, Err: cluster.ErrConflict}, map[string]uint64{"k": 7, "k/state": 7}, "s",
		"a", s)
	if v.FromLastKnown || v.Err != nil {
		t.Errorf("the view is %+v", v)
	}
	if v := l.Parse(8, api.KVPairs{}); !v.FromLastKnown || v.State.Master == nil || v.State.Master.ID != "a" {
		t.Errorf("without a state the view is %+v", v)
	}
}

// A state of a newer version is not damaged: the view shows the last known state to read, and keeps the error.
func TestLastKnownState_NewerVersion(t *testing.T) {
	l := Lock{Key: "k", LastKnown: &LastKnownState{}}
	newer := api.KVPairs{{Key: "k/state", Value: []byte(`{"service":"s","master":{"id":"b","address":"b:1","term":6},"version":2}`),
		ModifyIndex: 8}}
	if v := l.Parse(8, newer); !errors.Is(v.Err, cluster.ErrNewerVersion) || v.State.Master != nil || v.FromLastKnown {
		t.Errorf("without a last known state the view is %+v", v)
	}
	known := api.KVPairs{{Key: "k/state", Value: []byte(`{"service":"s","master":{"id":"a","address":"a:1","term":5},"version":1}`),
		ModifyIndex: 7}}
	l.Parse(7, known)
	v := l.Parse(8, newer)
	if !errors.Is(v.Err, cluster.ErrNewerVersion) || v.FromLastKnown || v.StateIndex != 8 {
		t.Errorf("the view is %+v", v)
	}
	if v.State.Master == nil || v.State.Master.ID != "a" {
		t.Errorf("the state is %+v, not the last known one", v.State)
	}
	if v := l.Parse(9, known); v.Err != nil || v.State.Master.ID != "a" {
		t.Errorf("once the state can be read again the view is %+v", v)
	}
}
