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
		k := Snapshot{Observation: Observation{Fresh: true}}
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
		{"not before Consul has answered", OperatorSettings{}, base(func(k *Snapshot) { k.Fresh = false }), OperatorSettings{}},
		{"what was set before a fence", OperatorSettings{}, base(fencedRedis), settings("r", 0, 5)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.was.Discover(tt.k, "me"); got != tt.want {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
}

func TestOperatorSettings_Persisted(t *testing.T) {
	guard := MinReplicas{Replicas: 1, MaxLag: 5}
	k := Snapshot{}
	k.View.LiveAgents = map[string]MemberKey{"me": {RunID: "r", OperatorGuard: guard}, "unknown": {}}
	for _, tt := range []struct {
		name string
		o    OperatorSettings
		id   string
		want bool
	}{
		{"persisted", OperatorSettings{RunID: "r", MinReplicas: guard}, "me", true},
		{"of another run", OperatorSettings{RunID: "x", MinReplicas: guard}, "me", false},
		{"with another guard", OperatorSettings{RunID: "r"}, "me", false},
		{"not known yet", OperatorSettings{}, "unknown", false},
		{"without a key", OperatorSettings{RunID: "r", MinReplicas: guard}, "x", false},
	} {
		if got := tt.o.Persisted(k, tt.id); got != tt.want {
			t.Errorf("%s: got %t", tt.name, got)
		}
	}
}

func TestOwnMemberKey(t *testing.T) {
	me := Master{}
	me.Address = "me:1"
	known := func(k *Snapshot) {
		k.Operator = OperatorSettings{RunID: "run-me", MinReplicas: MinReplicas{Replicas: 1, MaxLag: 5}}
	}
	want := MemberKey{Session: "mine", RunID: "run-me", Address: "me:1", OperatorGuard: MinReplicas{Replicas: 1, MaxLag: 5}}
	for _, tt := range []struct {
		name string
		k    Snapshot
		want MemberKey
	}{
		{"everything is known", situation(known), want},
		{"without a session", situation(known, withoutSession), MemberKey{}},
		{"the operator's guard is not known for this run", situation(known, restartedRedis), MemberKey{}},
		{"before Redis has answered", situation(known, func(k *Snapshot) { k.Health.Status.RunID, k.Operator.RunID = "", "" }),
			MemberKey{}},
	} {
		if got := OwnMemberKey(tt.k, me); got != tt.want {
			t.Errorf("%s: got %+v", tt.name, got)
		}
	}
}
