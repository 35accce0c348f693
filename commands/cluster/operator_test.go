package cluster

import (
	"testing"

	"resec/handlers"
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
		{"a guard that resec has set is not the operator's", OperatorSettings{}, base(guardRecorded("me", 0, 10)), settings("r", 0, 10)},
		{"whichever run has it", settings("x", 2, 8), base(guardRecorded("me", 3, 10), persisted("x")), settings("r", 3, 10)},
		{"one that was set on another member is neither", OperatorSettings{}, base(guardRecorded("b", 0, 10)), settings("r", 0, 10)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.was.Discover(tt.k, "me"); got != tt.want {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
}

// guardRecorded records a guard of 1 with a lag of 5 s as set on a member, with the operator's own.
func guardRecorded(id string, replicas, lag int) func(*Snapshot) {
	return func(k *Snapshot) {
		own := MinReplicas{Replicas: replicas, MaxLag: lag}
		k.View.State.Members = map[string]MemberRecord{id: {}}
		k.View.State = k.View.State.WithGuardRecorded(id, own, MinReplicas{Replicas: 1, MaxLag: 5})
	}
}

// A Redis that comes up in any other way than parked is known for as long as its run lasts.
func TestOperatorSettings_StartedAs(t *testing.T) {
	first := func(st redis.Status) func(*Snapshot) {
		return func(k *Snapshot) {
			st.RunID = "run-new"
			k.First, k.Health.Status = st, st
		}
	}
	real := redis.Status{MasterAddr: "10.0.0.1:6379"}
	known := func(key MemberKey) func(*Snapshot) {
		return func(k *Snapshot) { k.View.LiveAgents["me"] = key }
	}
	for _, tt := range []struct {
		name string
		k    Snapshot
		want StartRole
	}{
		{"parked", situation(first(redis.Status{MasterAddr: redis.Sink})), ""},
		{"a master", situation(first(redis.Status{Master: true})), "master"},
		{"a replica of a real address", situation(first(real)), "replica of 10.0.0.1:6379"},
		{"a run that was seen before", situation(first(real), func(k *Snapshot) {
			k.View.State.Members = map[string]MemberRecord{"me": {RunID: "run-new"}}
		}), ""},
		{"a run that led before", situation(first(redis.Status{Master: true}), func(k *Snapshot) {
			k.View.State.Master = &Master{Peer: handlers.Peer{ID: "me", RunID: "run-new"}}
		}), ""},
		{"what a predecessor persisted", situation(first(real), known(MemberKey{RunID: "run-new", StartedAs: "master"})), "master"},
		{"not what it persisted of another run", situation(first(real), known(MemberKey{RunID: "run-me", StartedAs: "master"})),
			"replica of 10.0.0.1:6379"},
		{"the first status is another run's", situation(first(real), func(k *Snapshot) { k.First.RunID = "run-me" }), ""},
	} {
		got := OperatorSettings{RunID: "run-me"}.Discover(tt.k, "me")
		if got.StartedAs != tt.want || (got.StartedAs.Warning() == "") != (tt.want == "") {
			t.Errorf("%s: got %q, %q", tt.name, got.StartedAs, got.StartedAs.Warning())
		}
		tt.k.Operator = got
		if key := OwnMemberKey(tt.k, Master{}); key.StartedAs != tt.want {
			t.Errorf("%s: the member key has %q", tt.name, key.StartedAs)
		}
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
