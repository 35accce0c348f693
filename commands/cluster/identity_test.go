package cluster

import (
	"encoding/json"
	"errors"
	"testing"

	"resec/handlers"
	"resec/handlers/redis"
)

func TestView_CheckMember(t *testing.T) {
	v := View{State: threeMembers(), LiveAgents: map[string]MemberKey{"b": {Session: "b's", RunID: "run-live"},
		"a": {Session: "a's", RunID: "run-a"}}}
	gone := View{State: threeMembers(), LiveAgents: map[string]MemberKey{"b": {RunID: "run-live"}}}
	self := Instance{ID: "me", RunID: "run-me"}
	first := View{LiveAgents: map[string]MemberKey{"b": {Session: "b's", RunID: "run-b"}, "c": {Session: "c's", RunID: "run-c"}}}
	for _, tt := range []struct {
		name    string
		v       View
		id, run string
		want    error
	}{
		{"its recorded run", v, "b", "run-b", nil},
		{"the run that its agent reports", v, "b", "run-live", nil},
		{"our own redis", v, "b", "run-me", ErrWrongAddress},
		{"our own redis at our own address", v, "me", "run-me", nil},
		{"the master's redis at a replica's address", v, "b", "run-a", ErrWrongAddress},
		{"a replica's redis at the master's address", v, "a", "run-live", ErrWrongAddress},
		{"a redis that nobody knows", v, "b", "run-x", ErrOtherInstance},
		{"our own redis at the address of a member that has left", gone, "b", "run-me", ErrOtherInstance},
		{"a restarted redis before the first master", first, "b", "run-x", nil},
		{"another member's before the first master", first, "b", "run-c", ErrWrongAddress},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if err := tt.v.CheckMember(tt.id, redis.Status{RunID: tt.run, Position: at("q", "")}, self); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
	own := redis.Status{RunID: "run-me", Position: at("l1", "")}
	if err := gone.CheckMember("b", own, self); err != nil { // it may be the same redis under a new id
		t.Errorf("its data are the member's: %v", err)
	}
	if err := gone.CheckMemberForProof("b", own, self); !errors.Is(err, ErrWrongAddress) {
		t.Errorf("for a proof it is our own: %v", err)
	}
	if Down(ErrWrongAddress) {
		t.Error("a wrong address is taken for a redis that is down")
	}
}

func TestView_WrongAddressReason(t *testing.T) {
	live := func(addr, run string, wrong ...string) MemberKey {
		m := MemberKey{Session: "s-" + run, Address: addr, RunID: run}
		for _, id := range wrong {
			m.WrongAddresses = m.WrongAddresses.With(id, id+":1", true)
		}
		return m
	}
	dead := func(m MemberKey) MemberKey { m.Session = ""; return m }
	for _, tt := range []struct {
		name   string
		agents map[string]MemberKey
		wrong  bool
	}{
		{"each has its own", map[string]MemberKey{"a": live("a:1", "run-a"), "b": live("b:1", "run-b")}, false},
		{"two announce one address", map[string]MemberKey{"a": live("redis:1", "run-a"), "b": live("redis:1", "run-b")}, true},
		{"the other one is dead", map[string]MemberKey{"a": live("redis:1", "run-a"), "b": dead(live("redis:1", "run-b"))}, false},
		{"two agents of one redis", map[string]MemberKey{"a": live("redis:1", "run-a"), "b": live("redis:1", "run-a")}, false},
		{"another reports it", map[string]MemberKey{"a": live("a:1", "run-a"), "b": live("b:1", "run-b", "a", "c")}, true},
		{"another has reported its former address", map[string]MemberKey{"a": live("new:1", "run-a"), "b": live("b:1", "run-b", "a")}, false},
		{"a dead one reported it", map[string]MemberKey{"a": live("a:1", "run-a"), "b": dead(live("b:1", "run-b", "a"))}, false},
		{"another is reported", map[string]MemberKey{"a": live("a:1", "run-a"), "b": live("b:1", "run-b", "c")}, false},
		{"its agent is dead", map[string]MemberKey{"a": dead(live("a:1", "run-a")), "b": live("b:1", "run-b", "a")}, false},
	} {
		if why := (View{LiveAgents: tt.agents}).WrongAddressReason("a"); (why != "") != tt.wrong {
			t.Errorf("%s: got %q", tt.name, why)
		}
	}
}

func TestAddressMisleads(t *testing.T) {
	m := Master{Peer: handlers.Peer{ID: "a", RunID: "run-a", Address: "redis:6379"}}
	k := Snapshot{Observation: Observation{View: View{State: State{Master: &m},
		LiveAgents: map[string]MemberKey{"a": {Session: "s", RunID: "run-a"}, "c": {Session: "t", RunID: "run-c"}}}}}
	k.Health.Status.RunID = "run-me"
	answer := func(run string) redis.Health { return redis.Health{Status: redis.Status{RunID: run}} }
	for _, tt := range []struct {
		name  string
		h     redis.Health
		wrong bool
	}{
		{"the master", answer("run-a"), false},
		{"our own redis", answer("run-me"), true},
		{"another member's", answer("run-c"), true},
		{"an unknown one", answer("run-x"), false},
		{"none", redis.Health{Err: errors.New("refused")}, false},
	} {
		if err := AddressMisleads(k, "me", m, tt.h); (err != nil) != tt.wrong {
			t.Errorf("%s: got %v", tt.name, err)
		}
	}
}

func TestAddressSet(t *testing.T) {
	var s AddressSet
	s = s.With("b", "b:1", true).With("a", "a:1", true).With("b", "b:1", true).With("x", "y\nz", true)
	if s != "a a:1\nb b:1" || !s.Has("a", "a:1") || s.Has("a", "a:2") || s.Has("c", "c:1") || s.Has("", "") {
		t.Errorf("got %q", s)
	}
	if moved := s.With("b", "b:2", true); moved.Has("b", "b:1") || !moved.Has("b", "b:2") {
		t.Errorf("after a change of the address: %q", moved)
	}
	data, err := json.Marshal(MemberKey{WrongAddresses: s})
	var back MemberKey
	if err == nil {
		err = json.Unmarshal(data, &back)
	}
	if err != nil || back.WrongAddresses != s {
		t.Errorf("%s is read as %q, %v", data, back.WrongAddresses, err)
	}
	if s = s.With("a", "a:1", false).With("b", "", false); s != "" {
		t.Errorf("the empty set is %q", s)
	}
	if err := json.Unmarshal([]byte(`{"wrong_addresses":"a"}`), &back); err == nil {
		t.Error("a text is read as a set")
	}
}
