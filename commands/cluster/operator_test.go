package cluster

import (
	"testing"

	"resec/handlers/redis"
)

// The operator's own settings are those that Redis had before any of us changed them.
func TestFound_Learn(t *testing.T) {
	its := func(run string, replicas, lag int) OperatorSettings {
		return OperatorSettings{run, MinReplicas{Replicas: replicas, MaxLag: lag}}
	}
	noted := func(run string) func(*Snapshot) {
		return func(k *Snapshot) {
			k.View.LiveAgents = map[string]MemberKey{"me": {RunID: run, OperatorGuard: MinReplicas{Replicas: 3, MaxLag: 7}}}
		}
	}
	base := func(change ...func(*Snapshot)) Snapshot {
		k := Snapshot{View: View{Index: 9}}
		k.Health.Status = redis.Status{RunID: "r", MinReplicas: 1, MaxLag: 5}
		for _, f := range change {
			f(&k)
		}
		return k
	}
	for _, tt := range []struct {
		name string
		was  OperatorSettings
		k    Snapshot
		want OperatorSettings
	}{
		{"as Redis has them", OperatorSettings{}, base(), its("r", 1, 5)},
		{"as our predecessor noted them of this run", OperatorSettings{}, base(noted("r")), its("r", 3, 7)},
		{"not what was noted of another", OperatorSettings{}, base(noted("x")), its("r", 1, 5)},
		{"what we know of this run stands", its("r", 2, 8), base(noted("r")), its("r", 2, 8)},
		{"another run has its own", its("x", 2, 8), base(), its("r", 1, 5)},
		{"not before Consul has answered", OperatorSettings{}, base(func(k *Snapshot) { k.View.Index = 0 }), OperatorSettings{}},
		{"what stands under a fence", OperatorSettings{}, base(fencedRedis), its("r", 0, 5)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.was.Discover(tt.k, "me"); got != tt.want {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
}
