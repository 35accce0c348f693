package cluster

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"resec/commands/expect"
	"resec/handlers"
	"resec/handlers/redis"
)

func TestView_SameLock(t *testing.T) {
	v := View{Index: 9, LockIndex: 5, StateIndex: 7, Session: "s"}
	for _, tt := range []struct {
		name   string
		change func(*View)
		want   bool
	}{
		{"unchanged", func(*View) {}, true},
		{"read later", func(v *View) { v.Index = 12 }, true},
		{"another lock", func(v *View) { v.LockIndex = 6 }, false},
		{"another state", func(v *View) { v.StateIndex = 8 }, false},
		{"another session", func(v *View) { v.Session = "" }, false},
		{"no view", func(v *View) { v.Index = 0 }, false},
	} {
		o := v
		tt.change(&o)
		if v.SameLock(o) != tt.want || o.SameLock(v) != tt.want {
			t.Errorf("%s: got %t and %t", tt.name, v.SameLock(o), o.SameLock(v))
		}
	}
	if !(View{}).SameLock(View{}) {
		t.Error("two empty views differ")
	}
}

func TestView_OnlyHolderChanged(t *testing.T) {
	before := View{Index: 9, LockIndex: 5, StateIndex: 7, Session: "s", Holder: "b",
		State: State{Why: WhyDead, Master: &Master{Peer: handlers.Peer{ID: "a"}}}}
	for _, tt := range []struct {
		name   string
		change func(*View)
		want   bool
	}{
		{"nothing", func(*View) {}, true},
		{"it was released", func(v *View) { v.Index, v.LockIndex, v.StateIndex, v.Session, v.Holder = 12, 6, 8, "", "" }, true},
		{"another member has it", func(v *View) { v.Session, v.Holder = "c's", "c" }, true},
		{"the published master has it", func(v *View) { v.Session, v.Holder = "a's", "a" }, false},
		{"another master is published", func(v *View) { v.State.Master = &Master{Peer: handlers.Peer{ID: "c"}} }, false},
		{"the state says why", func(v *View) { v.State.Why = WhyLeaving }, false},
		{"an operator asks", func(v *View) { v.Request = &Request{To: "b"} }, false},
		{"it went back in time", func(v *View) { v.WentBack = true }, false},
		{"the state cannot be read", func(v *View) { v.Err = ErrNewerVersion }, false},
		{"there is no view", func(v *View) { v.Index = 0 }, false},
	} {
		now := before
		tt.change(&now)
		expect.Equal(t, tt.name, now.OnlyHolderChanged(before), tt.want)
		if tt.name != "the published master has it" && tt.name != "an operator asks" {
			expect.Equal(t, tt.name+", the other way", before.OnlyHolderChanged(now), tt.want)
		}
	}
}

func TestView_OnlyHolderChangedByAnAnswer(t *testing.T) {
	now := View{Index: 12, StateIndex: 7}
	before := View{Index: 9, StateIndex: 7, Request: &Request{To: "b"}}
	expect.Equal(t, "a request was answered", now.OnlyHolderChanged(before), true)
}

func TestView_CheckService(t *testing.T) {
	for _, tt := range []struct {
		name string
		v    View
		want error
	}{
		{"the same service", View{State: State{Service: "redis-master"}}, nil},
		{"no service yet", View{}, nil},
		{"another service", View{State: State{Service: "cache-master"}}, ErrOtherCluster},
		{"a newer version", View{Err: fmt.Errorf("read: %w", ErrNewerVersion)}, ErrNewerVersion},
		{"a state that cannot be read for another reason", View{Err: errors.New("read")}, nil},
	} {
		if err := tt.v.CheckService("redis-master"); !errors.Is(err, tt.want) {
			t.Errorf("%s: got %v", tt.name, err)
		}
	}
}

func TestView_IsMembers(t *testing.T) {
	v := View{State: threeMembers(), LiveAgents: map[string]MemberKey{"b": {RunID: "run-live"}}}
	v.State.Members["a"] = MemberRecord{RunID: "run-before"}
	unknown := func(runID string) redis.Status { return redis.Status{RunID: runID, Position: at("z", "y")} }
	for _, tt := range []struct {
		name string
		v    View
		id   string
		st   redis.Status
		want bool
	}{
		{"the recorded run", v, "b", unknown("run-b"), true},
		{"the run that the agent reports", v, "b", unknown("run-live"), true},
		{"the published run", v, "a", unknown("run-a"), true},
		{"the published run at another member's address", v, "b", unknown("run-a"), false},
		{"another run with a known history", v, "b", redis.Status{RunID: "run-x", Position: at("l1", "")}, true},
		{"another run with the oldest history", v, "b", redis.Status{RunID: "run-x", Position: at("z", "l1")}, true},
		{"another run with unrelated data", v, "b", unknown("run-x"), false},
		{"anything before the first master", View{}, "b", unknown("run-x"), true},
	} {
		if got := tt.v.IsMembers(tt.id, tt.st); got != tt.want {
			t.Errorf("%s: got %t", tt.name, got)
		}
	}
}

func TestView_MayHoldNewerData(t *testing.T) {
	live := map[string]MemberKey{"a": {Session: "s"}, "b": {Session: "s"}, "j": {Session: "s"}, "x": {Session: "s"}}
	v := View{State: threeMembers(), LiveAgents: live}
	reported := View{State: threeMembers(func(s *State) { s.Why = WhyDead }), LiveAgents: live}
	for _, tt := range []struct {
		name string
		v    View
		id   string
		want bool
	}{
		{"in sync, with a live agent", v, "b", true},
		{"the master", v, "a", true},
		{"the master that its agent reported dead", reported, "a", false},
		{"another member then", reported, "b", true},
		{"catching up", v, "j", false},
		{"unrecorded", v, "x", false},
		{"without an agent", View{State: threeMembers()}, "b", false},
	} {
		if got := tt.v.MayHoldNewerData(tt.id); got != tt.want {
			t.Errorf("%s: got %t", tt.name, got)
		}
	}
}

func TestState_MasterReportedGone(t *testing.T) {
	for why, want := range map[string]bool{"": false, WhyDead: true, WhyFrozen: true, WhyUnhealthy: false, WhyLeaving: false,
		WhyFailed: false} {
		s := threeMembers(func(s *State) { s.Why = why })
		if s.MasterReportedGone("a") != want || s.MasterReportedGone("b") {
			t.Errorf("%q: the master %t, another member %t", why, s.MasterReportedGone("a"), s.MasterReportedGone("b"))
		}
	}
	if (State{Why: WhyDead}).MasterReportedGone("") {
		t.Error("without a master one is reported")
	}
}

func TestPause_Active(t *testing.T) {
	until := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	p := &Pause{Until: until}
	if !p.Active(until.Add(-1)) || p.Active(until) || (*Pause)(nil).Active(until) {
		t.Error("a pause is active until its end, and none is never")
	}
	if got, want := p.String(), "paused until "+until.Local().Format(time.RFC3339); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	var k Snapshot
	k.Take(View{Index: 3, Pause: p}, until.Add(-1))
	if !k.Paused || k.View.Index != 3 {
		t.Errorf("before its end the snapshot is %+v", k)
	}
	if k.Take(View{Index: 4, Pause: p}, until); k.Paused || k.View.Index != 4 {
		t.Errorf("after its end the snapshot is %+v", k)
	}
}

func TestRequest_Active(t *testing.T) {
	for _, tt := range []struct {
		r    *Request
		want bool
	}{{nil, false}, {&Request{}, true}, {&Request{Planned: true}, false}, {&Request{Planned: true, Accepted: true}, true}} {
		if got := tt.r.Active(); got != tt.want {
			t.Errorf("%+v: got %t", tt.r, got)
		}
	}
}
