package cluster

import (
	"errors"
	"fmt"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"resec/handlers"
	"resec/handlers/redis"
)

func TestAnnounced(t *testing.T) {
	me := Master{Peer: handlers.Peer{ID: "me", Address: "10.0.0.1:6379"}, Node: "n", ServiceID: "s"}
	if d := cmp.Diff(me, Snapshot{}.Announced(me)); d != "" {
		t.Errorf("it did not move: %s", d)
	}
	want := me
	want.Node, want.Address = "m", "10.0.0.9:6379"
	if d := cmp.Diff(want, Snapshot{Place: Place{Node: "m", Address: "10.0.0.9:6379"}}.Announced(me)); d != "" {
		t.Errorf("it has moved: %s", d)
	}
}

func TestFollowsNode(t *testing.T) {
	for _, tt := range []struct {
		atNew, atOld Answerer
		want         bool
	}{
		{OurRedisAnswers, OurRedisAnswers, true},
		{OurRedisAnswers, NobodyListens, true},
		{OurRedisAnswers, AnswererUnknown, true},
		{AnotherAnswers, NobodyListens, false},
		{AnotherAnswers, OurRedisAnswers, false},
		{NobodyListens, OurRedisAnswers, false},
		{NobodyListens, NobodyListens, true}, // this host does not reach its own address, but others may
		{NobodyListens, AnotherAnswers, true},
		{NobodyListens, AnswererUnknown, false},
		{AnswererUnknown, NobodyListens, false},
		{AnswererUnknown, AnotherAnswers, false},
		{AnswererUnknown, OurRedisAnswers, false},
		{AnswererUnknown, AnswererUnknown, false},
	} {
		if got := FollowsNode(tt.atNew, tt.atOld); got != tt.want {
			t.Errorf("new %d, old %d: got %t", tt.atNew, tt.atOld, got)
		}
	}
}

func TestReturnsToFormer(t *testing.T) {
	all := []Answerer{AnswererUnknown, NobodyListens, OurRedisAnswers, AnotherAnswers}
	for _, atNew := range all {
		for _, atFormer := range all {
			want := atNew == NobodyListens && atFormer == OurRedisAnswers
			if got := ReturnsToFormer(atNew, atFormer); got != want {
				t.Errorf("new %d, former %d: got %t", atNew, atFormer, got)
			}
		}
	}
}

func TestWithMasterAt(t *testing.T) {
	published := Master{Peer: handlers.Peer{ID: "a", RunID: "run-a", Address: "old:1", Term: 4}, Node: "n", Guard: 1, MaxLag: 5}
	s := State{Master: &published, Histories: []string{"l"},
		Members: map[string]MemberRecord{"a": {RunID: "run-a", Address: "old:1", InSyncTerm: 4}, "b": {RunID: "run-b", Address: "b:1"}}}
	at := func(addr, node string) Master {
		return Master{Peer: handlers.Peer{ID: "a", Address: addr}, Node: node}
	}
	moved := s.WithMasterAt(at("new:1", "m"))
	want := published
	want.Address, want.Node = "new:1", "m"
	if d := cmp.Diff(want, *moved.Master); d != "" {
		t.Errorf("only the place changes: %s", d)
	}
	if moved.Members["a"] != (MemberRecord{RunID: "run-a", Address: "new:1", InSyncTerm: 4}) || moved.Members["b"] != s.Members["b"] {
		t.Errorf("members: %+v", moved.Members)
	}
	if s.Master.Address != "old:1" || s.Members["a"].Address != "old:1" {
		t.Error("the state was changed in place")
	}
	for name, me := range map[string]Master{"the same place": at("old:1", "n"), "an unknown place": at("", "m"),
		"another member": {Peer: handlers.Peer{ID: "b", Address: "new:1"}, Node: "m"}} {
		if got := s.WithMasterAt(me); got.Master != s.Master {
			t.Errorf("%s: %+v", name, got)
		}
	}
	if got := (State{}).WithMasterAt(at("new:1", "m")); got.Master != nil {
		t.Errorf("without a master: %+v", got)
	}
	stale := s.WithMasterAt(at("new:1", "m"))
	stale.Members = s.Members // a record that an older program left
	if got := stale.WithMasterAt(at("new:1", "m")).Members["a"].Address; got != "new:1" {
		t.Errorf("a record at the old address: %s", got)
	}
}

// The master's agent has work to do while the state has it elsewhere.
func TestPendingMembers_Moved(t *testing.T) {
	v := View{State: State{Master: &Master{Peer: handlers.Peer{ID: "a", Address: "a:1"}, Node: "n"},
		Members: map[string]MemberRecord{"a": {RunID: "run-a", Address: "a:1"}}}}
	for _, tt := range []struct {
		name string
		me   Master
		want []string
	}{
		{"at its place", Master{Peer: handlers.Peer{ID: "a", Address: "a:1"}, Node: "n"}, nil},
		{"at another address", Master{Peer: handlers.Peer{ID: "a", Address: "a:2"}, Node: "n"}, []string{"a"}},
		{"on another node", Master{Peer: handlers.Peer{ID: "a", Address: "a:1"}, Node: "m"}, []string{"a"}},
	} {
		if d := cmp.Diff(tt.want, PendingMembers(v, tt.me)); d != "" {
			t.Errorf("%s: %s", tt.name, d)
		}
	}
}

func TestOtherAddresses(t *testing.T) {
	v := View{State: State{Master: &Master{Peer: handlers.Peer{ID: "a", Address: "state:1"}},
		Members: map[string]MemberRecord{"a": {RunID: "run-a", Address: "record:1"}, "b": {RunID: "run-b", Address: "b:1"}}},
		LiveAgents: map[string]MemberKey{"a": {RunID: "run-new", Address: "key:1"}, "b": {Address: "b:1"}}}
	for _, tt := range []struct {
		m    Member
		want []string
	}{
		{Member{ID: "a", Address: "catalogue:1"}, []string{"key:1", "record:1", "state:1"}},
		{Member{ID: "a", Address: "record:1"}, []string{"key:1", "state:1"}},
		{Member{ID: "b", Address: "b:1"}, nil},
		{Member{ID: "b", Address: "catalogue:1"}, []string{"b:1"}},
		{Member{ID: "x", Address: "x:1"}, nil},
	} {
		if d := cmp.Diff(tt.want, OtherAddresses(tt.m, v)); d != "" {
			t.Errorf("%+v: %s", tt.m, d)
		}
	}
	v.State.Master.RunID = "run-published"
	for run, want := range map[string]bool{"run-a": true, "run-new": true, "run-published": true, "run-b": false, "": false} {
		if got := v.OwnsRun("a", run); got != want {
			t.Errorf("it runs as %q: %t", run, got)
		}
	}
}

func TestListedAddresses(t *testing.T) {
	entry := func(id, node, host, check string) (e handlers.Entry) {
		e.Node.Address, e.Service.Address, e.Service.Port, e.Service.Meta = node, host, 1, map[string]string{"id": id}
		e.Checks = append(e.Checks, handlers.Check{Status: check})
		return e
	}
	entries := []handlers.Entry{entry("a", "10.0.0.1", "", "critical"), entry("a", "10.0.0.2", "redis-a", "passing"),
		entry("b", "10.0.0.3", "", "passing"), entry("a", "10.0.0.4", "10.0.0.4", "passing")}
	want := []Listed{{"redis-a:1", true}, {"10.0.0.4:1", true}, {"10.0.0.1:1", false}, {"10.0.0.2:1", false}}
	if d := cmp.Diff(want, ListedAddresses(entries, "a")); d != "" {
		t.Error(d)
	}
}

func TestOnlyRefuses(t *testing.T) {
	refused := redis.Health{Err: fmt.Errorf("dial: %w", syscall.ECONNREFUSED)}
	streams := redis.Status{MasterAddr: "a:1", LinkUp: true}
	for _, tt := range []struct {
		name string
		h    redis.Health
		own  redis.Status
		want bool
	}{
		{"it refuses, and our redis streams from it", refused, streams, true},
		{"it refuses, and the link is down", refused, redis.Status{MasterAddr: "a:1"}, false},
		{"it refuses, and our redis is in a full sync", refused, redis.Status{MasterAddr: "a:1", LinkUp: true, Syncing: true}, false},
		{"it refuses, and our redis follows another", refused, redis.Status{MasterAddr: "b:1", LinkUp: true}, false},
		{"it hangs", redis.Health{Err: errors.New("i/o timeout")}, streams, false},
		{"it answers", redis.Health{}, streams, false},
	} {
		if got := OnlyRefuses(tt.h, tt.own, "a:1"); got != tt.want {
			t.Errorf("%s: got %t", tt.name, got)
		}
	}
}

// A successor streams from our Redis, whether it was re-pointed to our new address already or not.
func TestSuccessor_Moved(t *testing.T) {
	k := situation(promoted, holdingLock, func(k *Snapshot) {
		k.View.State.Master = &Master{Peer: handlers.Peer{ID: "me", RunID: "run-me", Address: "published:1", Term: 5}}
		k.View.State.Members["b"] = MemberRecord{RunID: "run-b", InSyncTerm: 5}
		k.View.LiveAgents["b"] = MemberKey{Session: "b's", RunID: "run-b"}
		k.Place = Place{Node: "n", Address: "new:1"}
	})
	me := Master{Peer: handlers.Peer{ID: "me", Address: "start:1"}}
	for addr, want := range map[string]string{"published:1": "b", "new:1": "b", "start:1": "", "other:1": ""} {
		b := Candidate{ID: "b", AgentAlive: true, InCatalog: true, Status: redis.Status{RunID: "run-b", MasterAddr: addr, LinkUp: true,
			Keys: 1, Priority: 100, Position: redis.Position{ReplID: "l", Offset: 9}}}
		if got := Successor([]Candidate{b}, k, me, nil); got != want {
			t.Errorf("it follows %s: got %q", addr, got)
		}
	}
}
