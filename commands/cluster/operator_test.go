package cluster

import (
	"testing"

	"resec/handlers/redis"
)

// The operator's own settings are those that a run of Redis had before any agent changed them.
func TestOperatorSettings_Discover(t *testing.T) {
	settings := func(run string, replicas, lag int) OperatorSettings {
		return OperatorSettings{RunID: run, MinReplicas: MinReplicas{Replicas: replicas, MaxLag: lag}}
	}
	persisted := func(run string) func(*Snapshot) {
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
		{"what Redis has", OperatorSettings{}, base(), settings("r", 1, 5)},
		{"what a predecessor persisted for this run", OperatorSettings{}, base(persisted("r")), settings("r", 3, 7)},
		{"not what was persisted for another run", OperatorSettings{}, base(persisted("x")), settings("r", 1, 5)},
		{"what is known of this run stays", settings("r", 2, 8), base(persisted("r")), settings("r", 2, 8)},
		{"another run has its own", settings("x", 2, 8), base(), settings("r", 1, 5)},
		{"not before Consul has answered", OperatorSettings{}, base(func(k *Snapshot) { k.View.Index = 0 }), OperatorSettings{}},
		{"what was set before a fence", OperatorSettings{}, base(fencedRedis), settings("r", 0, 5)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.was.Discover(tt.k, "me"); got != tt.want {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
}
