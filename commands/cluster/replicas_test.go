package cluster

import (
	"testing"
	"time"

	"resec/handlers/redis"
)

func TestCountReplicas(t *testing.T) {
	v := View{State: State{Members: map[string]MemberRecord{"me": {Address: "m:1"}, "a": {Address: "a:1"}, "b": {Address: "old:1"}}},
		LiveAgents: map[string]MemberKey{"b": {Address: "b:1"}}}
	replica := func(addr string, lag int) redis.Replica { return redis.Replica{Addr: addr, Online: true, Lag: lag} }
	syncingRedis := redis.Replica{Addr: "a:1"}
	for _, tt := range []struct {
		name             string
		replicas         []redis.Replica
		follows          string // the member whose Redis says that it follows ours
		members, unknown int
	}{
		{"no replica", nil, "", 0, 0},
		{"both members, by the addresses that they announce now", []redis.Replica{replica("a:1", 0), replica("b:1", 1)}, "", 2, 0},
		{"a member that lags does not keep up", []redis.Replica{replica("a:1", 4), replica("b:1", 3)}, "", 1, 0},
		{"nor does one in a full sync", []redis.Replica{syncingRedis}, "a", 0, 0},
		{"another replica is unknown", []redis.Replica{replica("a:1", 0), replica("x:1", 0), {Addr: "y:0", Online: true, Offset: 9}}, "", 1, 2},
		{"one that is no server and acknowledges nothing is none", []redis.Replica{replica("a:1", 0), replica("x:0", 0)}, "", 1, 0},
		{"unless it lags", []redis.Replica{replica("a:1", 0), replica("x:0", 60)}, "", 1, 0},
		{"behind a NAT the member's own Redis identifies it", []redis.Replica{replica("nat:1", 0), replica("b:1", 0)}, "a", 2, 0},
		{"once, although two replicas are unidentified", []redis.Replica{replica("nat:1", 0), replica("nat:2", 0)}, "a", 1, 1},
		{"a member that is listed twice counts once, by its better link", []redis.Replica{replica("a:1", 4), replica("a:1", 0)}, "a", 1,
			0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			members, unknown := CountReplicas(redis.Status{Replicas: tt.replicas}, v, "me",
				func(id string) bool { return id == tt.follows }, GuardPolicy{MaxLag: 5})
			if members != tt.members || unknown != tt.unknown {
				t.Errorf("got %d members, %d unknown; want %d, %d", members, unknown, tt.members, tt.unknown)
			}
		})
	}
}

// When a member dies, its link counts as unknown for a moment, until Redis drops it.
func TestUnknownReplicas_Observe(t *testing.T) {
	at := time.Now()
	s := UnknownReplicas{Count: -1}
	for _, tt := range []struct {
		after   time.Duration
		is, set int
	}{
		{0, 1, 1}, // the first count is taken at once
		{10, 2, 1},
		{20, 1, 1},
		{30, 2, 1},
		{320, 2, 1},
		{330, 3, 3},
		{340, 0, 0}, // fewer are taken at once
	} {
		if s = s.Observe(tt.is, at.Add(tt.after*time.Millisecond)); s.Count != tt.set {
			t.Errorf("after %d ms the guard is raised for %d of %d unknown replicas, not %d", tt.after, s.Count, tt.is, tt.set)
		}
	}
}

func TestReplicaFingerprint(t *testing.T) {
	of := func(rs ...redis.Replica) string { return ReplicaFingerprint(redis.Status{Replicas: rs}) }
	a := redis.Replica{Addr: "a:1", Online: true, Lag: 1, Offset: 7}
	if of(a) != of(redis.Replica{Addr: "a:1", Online: true, Lag: 0, Offset: 9}) {
		t.Error("lag and offset change the fingerprint")
	}
	if of(a) == of(redis.Replica{Addr: "a:1"}) || of(a) == of() || of(a) == of(a, a) ||
		of(a) == of(redis.Replica{Addr: "b:1", Online: true}) {
		t.Error("a replica that comes, leaves or completes its sync does not change the fingerprint")
	}
}

func TestIsRecordedInstance(t *testing.T) {
	v := View{State: threeMembers(), LiveAgents: map[string]MemberKey{"b": {RunID: "new-b"}, "x": {RunID: "run-x"}}}
	for runID, want := range map[string]bool{"run-a": true, "run-b": true, "new-b": true, "run-x": false, "": false, "z": false} {
		if got := IsRecordedInstance(v, runID); got != want {
			t.Errorf("run %q: got %t", runID, got)
		}
	}
	v.State.Members["e"] = MemberRecord{}
	if IsRecordedInstance(v, "") {
		t.Error("an unknown run is recorded")
	}
}

func TestMemberAtAddr(t *testing.T) {
	v := View{State: threeMembers(), LiveAgents: map[string]MemberKey{"b": {Address: "moved:1"}, "x": {Address: "x:1"}}}
	for addr, want := range map[string]string{"a:1": "", "moved:1": "b", "b:1": "", "j:1": "j", "x:1": ""} {
		if got := MemberAtAddr(v, "a", addr); got != want {
			t.Errorf("%s: got %q", addr, got)
		}
	}
}
