package cluster

import (
	"testing"

	"resec/handlers/redis"
)

// Errors count since the data last were the master's.
func TestStreamErrors_Observe(t *testing.T) {
	replica := func(n int64) redis.Status { return redis.Status{ErrorReplies: n, LinkUp: true} }
	master := func(n int64) redis.Status { return redis.Status{ErrorReplies: n, Master: true} }
	syncing := func(n int64) redis.Status { return redis.Status{ErrorReplies: n, Syncing: true} }
	loading := func(n int64) redis.Status { return redis.Status{ErrorReplies: n, Loading: true} }
	for _, tt := range []struct {
		name string
		seen []redis.Status
		want StreamErrors
	}{
		{"none", []redis.Status{replica(0), replica(0)}, StreamErrors{}},
		{"of a new replica", []redis.Status{replica(3)}, StreamErrors{Count: 3}},
		{"they add up", []redis.Status{replica(1), replica(4)}, StreamErrors{Count: 4}},
		{"those of a master are others", []redis.Status{master(2), replica(2)}, StreamErrors{Base: 2}},
		{"those after its term count", []redis.Status{master(2), replica(3)}, StreamErrors{Base: 2, Count: 1}},
		{"a full sync begins anew", []redis.Status{replica(3), syncing(3), replica(3)}, StreamErrors{Base: 3}},
		{"so do data from its disk", []redis.Status{replica(3), loading(3), replica(5)}, StreamErrors{Base: 3, Count: 2}},
		{"a promotion, too", []redis.Status{replica(3), master(3)}, StreamErrors{Base: 3}},
		{"a counter that was reset mends no data", []redis.Status{replica(3), replica(0)}, StreamErrors{Base: -3, Count: 3}},
		{"later errors add to it", []redis.Status{replica(3), replica(0), replica(2)}, StreamErrors{Base: -3, Count: 5}},
	} {
		var e StreamErrors
		for _, st := range tt.seen {
			e = e.observe(st)
		}
		if e != tt.want {
			t.Errorf("%s: got %+v", tt.name, e)
		}
	}
}

// An agent that is restarted knows what its predecessor knew of the same run, and others know it of a member.
func TestStreamErrors_Known(t *testing.T) {
	st := redis.Status{RunID: "r", ErrorReplies: 5}
	if got := (StreamErrors{Count: 5}).Adopt(StreamErrors{Base: 5}, st); got != (StreamErrors{Base: 5}) {
		t.Errorf("errors of its time as a master: %+v", got)
	}
	if got := (StreamErrors{Base: 5}).Adopt(StreamErrors{Count: 1}, st); got != (StreamErrors{Base: 5}) {
		t.Errorf("it was seen in a full sync since: %+v", got)
	}
	for _, tt := range []struct {
		name string
		key  MemberKey
		st   redis.Status
		want int64
	}{
		{"the key is newer than none", MemberKey{RunID: "r", StreamErrors: StreamErrors{Base: 5}}, st, 0},
		{"an error since", MemberKey{RunID: "r", StreamErrors: StreamErrors{Base: 4}}, st, 1},
		{"the counter was reset since", MemberKey{RunID: "r", StreamErrors: StreamErrors{Count: 1}}, redis.Status{RunID: "r"}, 1},
		{"the key is another run's", MemberKey{RunID: "q", StreamErrors: StreamErrors{Base: 4}}, st, 5},
		{"a master", MemberKey{RunID: "r"}, redis.Status{RunID: "r", Master: true, ErrorReplies: 5}, 0},
	} {
		v := View{LiveAgents: map[string]MemberKey{"b": tt.key}}
		if got := v.StreamErrors("b", tt.st); got != tt.want {
			t.Errorf("%s: got %d", tt.name, got)
		}
	}
	k := situation(func(k *Snapshot) { k.Operator.RunID, k.StreamErrors = "run-me", StreamErrors{Base: 2, Count: 7} })
	if got := OwnMemberKey(k, Master{}).StreamErrors; got != (StreamErrors{Base: 2, Count: 1}) {
		t.Errorf("the member key has %+v", got)
	}
}

// Who may lead, and who counts for the guard, with data that are not the master's.
func TestCandidate_StreamErrors(t *testing.T) {
	wrong := func(c *Candidate) { c.StreamErrors = 2 }
	why := StreamErrorsReason(2) + "; `resec failover -to ID -force` overrides"
	for e, want := range map[Eligibility]string{RecordedOnly: why, ColdStart: why, AnyMember: ""} {
		if got := replica("b", wrong).IneligibleReason(ledBy("a"), e); got != want {
			t.Errorf("eligibility %d: got %q", e, got)
		}
	}
	if got := replica("a", master, wrong).IneligibleReason(ledBy("a"), RecordedOnly); got != "" {
		t.Errorf("the master itself: %q", got)
	}
	v := View{State: threeMembers(), LiveAgents: map[string]MemberKey{"b": {StreamErrors: StreamErrors{Count: 1}}}}
	st := redis.Status{Replicas: []redis.Replica{{Addr: "b:1", Online: true}, {Addr: "j:1", Online: true}}}
	members, unknown := CountReplicas(st, v, "a", func(string) bool { return true }, GuardPolicy{MaxLag: 5})
	if members != 1 || unknown != 1 {
		t.Errorf("%d members and %d others count", members, unknown)
	}
}
