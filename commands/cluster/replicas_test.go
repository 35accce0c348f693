package cluster

import (
	"testing"
	"time"

	"resec/handlers/redis"
)

func TestAttached(t *testing.T) {
	v := View{State: State{Members: map[string]MemberRecord{"me": {Address: "m:1"}, "a": {Address: "a:1"}, "b": {Address: "old:1"}}},
		LiveAgents: map[string]MemberKey{"b": {Address: "b:1"}}}
	replica := func(addr string, lag int) redis.Replica { return redis.Replica{Addr: addr, Online: true, Lag: lag} }
	syncingRedis := redis.Replica{Addr: "a:1"}
	for _, tt := range []struct {
		name               string
		replicas           []redis.Replica
		says               string // the member whose Redis says that it follows
		members, strangers int
	}{
		{"nobody", nil, "", 0, 0},
		{"both members, by where they are announced now", []redis.Replica{replica("a:1", 0), replica("b:1", 1)}, "", 2, 0},
		{"one that lags does not keep up", []redis.Replica{replica("a:1", 4), replica("b:1", 3)}, "", 1, 0},
		{"nor does one that syncs", []redis.Replica{syncingRedis}, "a", 0, 0},
		{"somebody else is a stranger", []redis.Replica{replica("a:1", 0), replica("x:1", 0), replica("y:0", 0)}, "", 1, 2},
		{"unless it acknowledges nothing", []redis.Replica{replica("a:1", 0), replica("x:0", 60)}, "", 1, 0},
		{"behind a NAT a member is known by its own word", []redis.Replica{replica("nat:1", 0), replica("b:1", 0)}, "a", 2, 0},
		{"once", []redis.Replica{replica("nat:1", 0), replica("nat:2", 0)}, "a", 1, 1},
		{"one that is listed twice is one, the fresher", []redis.Replica{replica("a:1", 4), replica("a:1", 0)}, "a", 1, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			members, strangers := CountReplicas(redis.Status{Replicas: tt.replicas}, v, "me", func(id string) bool { return id == tt.says }, GuardPolicy{MaxLag: 5})
			if members != tt.members || strangers != tt.strangers {
				t.Errorf("got %d members, %d strangers; want %d, %d", members, strangers, tt.members, tt.strangers)
			}
		})
	}
}

// Redis drops the link of a member that has died a moment after that member stopped to speak for it.
func TestStrange(t *testing.T) {
	at := time.Now()
	s := UnknownReplicas{Count: -1}
	for _, tt := range []struct {
		after   time.Duration
		is, set int
	}{
		{0, 1, 1}, // those that are there at the beginning
		{10, 2, 1},
		{20, 1, 1},
		{30, 2, 1},
		{320, 2, 1},
		{330, 3, 3},
		{340, 0, 0}, // those that leave at once
	} {
		if s = s.Observe(tt.is, at.Add(tt.after*time.Millisecond)); s.Count != tt.set {
			t.Errorf("after %d ms the guard is set for %d of %d strangers, not %d", tt.after, s.Count, tt.is, tt.set)
		}
	}
}
