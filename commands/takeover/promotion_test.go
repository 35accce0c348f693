package takeover

import (
	"math"
	"testing"

	"resec/commands/cluster"
	"resec/handlers"
	"resec/handlers/redis"
)

func TestIsMasterAlready(t *testing.T) {
	m := &cluster.Master{Peer: handlers.Peer{RunID: "run-me"}}
	other := &cluster.Master{Peer: handlers.Peer{RunID: "run-x"}}
	own := redis.Status{RunID: "run-me", Master: true}
	fenced := redis.Status{RunID: "run-me", Master: true, MinReplicas: math.MaxInt32}
	for _, tt := range []struct {
		name              string
		own               redis.Status
		published, listed *cluster.Master
		want              bool
	}{
		{"published", own, m, nil, true},
		{"published and listed", own, m, other, true},
		{"no master is known", own, nil, nil, true},
		{"the catalogue names one", own, nil, other, false},
		{"another is published", own, other, nil, false},
		{"it is fenced", fenced, m, nil, false},
		{"it is a replica", redis.Status{RunID: "run-me"}, m, nil, false},
	} {
		if got := isMasterAlready(tt.own, tt.published, tt.listed); got != tt.want {
			t.Errorf("%s: got %t", tt.name, got)
		}
	}
}

func TestEligibilityOf(t *testing.T) {
	for _, tt := range []struct {
		keeps  bool
		bar    string
		forced bool
		want   cluster.Eligibility
	}{
		{true, "", false, cluster.RecordedOnly},
		{true, "not recorded", false, cluster.AnyMember},
		{false, "", false, cluster.AnyMember},
		{false, "not recorded", false, cluster.AnyMember},
		{true, "not recorded", true, cluster.RecordedOnly},
		{false, "", true, cluster.RecordedOnly},
	} {
		if got := eligibilityOf(tt.keeps, tt.bar, tt.forced); got != tt.want {
			t.Errorf("%+v: got %d", tt, got)
		}
	}
}

func TestCurrentGuard(t *testing.T) {
	set := redis.Status{MinReplicas: 2, MaxLag: 5}
	for _, tt := range []struct {
		name  string
		keeps bool
		self  Self
		own   redis.Status
		want  cluster.MinReplicas
	}{
		{"no members are known", false, Self{}, set, cluster.MinReplicas{Replicas: cluster.GuardOff}},
		{"GUARD=off", true, Self{Guard: cluster.GuardPolicy{Replicas: cluster.GuardOff}}, set,
			cluster.MinReplicas{Replicas: cluster.GuardOff}},
		{"as it is set", true, Self{}, set, cluster.MinReplicas{Replicas: 2, MaxLag: 5}},
		{"an unknown replica does not count", true, Self{UncountedReplicas: 1}, set, cluster.MinReplicas{Replicas: 1, MaxLag: 5}},
		{"more unknown replicas than the guard", true, Self{UncountedReplicas: 3}, set, cluster.MinReplicas{MaxLag: 5}},
		{"with a lag of 0 redis ignores it", true, Self{}, redis.Status{MinReplicas: 2}, cluster.MinReplicas{}},
	} {
		if got := currentGuard(tt.keeps, tt.self, tt.own); got != tt.want {
			t.Errorf("%s: got %+v", tt.name, got)
		}
	}
}

func TestInitialGuard(t *testing.T) {
	own := redis.Status{Position: redis.Position{ReplID: "b", ReplID2: "a", ReplID2EndOffset: 101, Offset: 100},
		MinReplicas: math.MaxInt32 - 1, MaxLag: 10}
	peer := func(id, history string, err error) *parkedPeer {
		return &parkedPeer{RecordedPeer: RecordedPeer{ID: id}, err: err,
			status: redis.Status{Position: redis.Position{ReplID: history, Offset: 90}}}
	}
	five := map[string]cluster.MemberRecord{"me": {}, "b": {}, "c": {}, "d": {}, "e": {}}
	for _, tt := range []struct {
		name         string
		keeps        bool
		parked       []*parkedPeer
		publish, set cluster.MinReplicas
	}{
		{"no members are known: as it was under the fence", false, nil, cluster.MinReplicas{Replicas: cluster.GuardOff},
			cluster.MinReplicas{Replicas: 1, MaxLag: 10}},
		{"two can attach", true, []*parkedPeer{peer("b", "a", nil), peer("c", "a", nil), peer("d", "a", errTimeout)},
			cluster.MinReplicas{Replicas: 2, MaxLag: 5}, cluster.MinReplicas{Replicas: 2, MaxLag: 5}},
		{"one needs a full sync", true, []*parkedPeer{peer("b", "a", nil), peer("c", "z", nil)},
			cluster.MinReplicas{Replicas: 1, MaxLag: 5}, cluster.MinReplicas{Replicas: 1, MaxLag: 5}},
		{"none is within reach", true, []*parkedPeer{peer("b", "a", errTimeout)}, cluster.MinReplicas{MaxLag: 5},
			cluster.MinReplicas{MaxLag: 5}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := &run{Takeover: Takeover{Self: Self{Me: cluster.Master{Peer: handlers.Peer{ID: "me"}},
				Guard: cluster.GuardPolicy{MaxLag: 5}},
				Peers: Peers{KeepMembers: tt.keeps}}, parked: tt.parked}
			if publish, set := p.initialGuard(cluster.State{Members: five}, own); publish != tt.publish || set != tt.set {
				t.Errorf("publish %+v, set %+v", publish, set)
			}
		})
	}
}

func TestMayRepoint(t *testing.T) {
	s := cluster.State{Master: &cluster.Master{Peer: handlers.Peer{ID: "me", RunID: "run-me"}, ForceFollow: []string{"forced"}}}
	own := redis.Status{RunID: "run-me", Master: true, Keys: 1}
	empty := redis.Status{RunID: "run-me", Master: true}
	parked := redis.Status{MasterAddr: redis.Sink, Keys: 1, Position: redis.Position{ReplID: "a"}}
	for _, tt := range []struct {
		name     string
		now, own redis.Status
		id       string
		want     bool
	}{
		{"it is parked", parked, own, "b", true},
		{"the first write would end it", redis.Status{MasterAddr: redis.Sink, WriteEndsReplica: true}, own, "b", false},
		{"it follows already", redis.Status{MasterAddr: "me:1"}, own, "b", false},
		{"our redis was restarted", parked, redis.Status{RunID: "run-2", Master: true, Keys: 1}, "b", false},
		{"our redis is no master", parked, redis.Status{RunID: "run-me", Keys: 1}, "b", false},
		{"our redis is empty", parked, empty, "b", false},
		{"our redis is empty, and an operator forces it", parked, empty, "forced", true},
	} {
		if got := mayRepoint(parked, tt.now, tt.own, s, tt.id); got != tt.want {
			t.Errorf("%s: got %t", tt.name, got)
		}
	}
}

func TestPublished(t *testing.T) {
	old := &cluster.Master{Peer: handlers.Peer{ID: "me", RunID: "run-me"}, ForceFollow: []string{"x"}}
	forced, planned := Operator{ForcedFailover: &cluster.Request{ForceFollow: []string{"y"}}},
		Operator{Switchover: &cluster.Request{}}
	for _, tt := range []struct {
		name     string
		old      *cluster.Master
		operator Operator
		run      string
		want     string
	}{
		{"the first", nil, Operator{}, "run-me", ""},
		{"it continues", old, Operator{}, "run-me", "x"},
		{"it was restarted", old, Operator{}, "run-2", ""},
		{"by switchover", old, planned, "run-me", ""},
		{"by force", old, forced, "run-me", "y"},
	} {
		m := Takeover{Operator: tt.operator, Self: Self{Me: cluster.Master{Peer: handlers.Peer{ID: "me"}}}}.published(tt.old,
			redis.Status{RunID: tt.run}, cluster.MinReplicas{Replicas: 2, MaxLag: 9})
		if m.RunID != tt.run || m.Guard != 2 || m.MaxLag != 9 || len(m.ForceFollow) > 1 ||
			(len(m.ForceFollow) == 1) != (tt.want != "") || len(m.ForceFollow) == 1 && m.ForceFollow[0] != tt.want {
			t.Errorf("%s: got %+v", tt.name, m)
		}
	}
}

func TestAdoptReplID(t *testing.T) {
	at := func(run, id string) redis.Status {
		return redis.Status{RunID: run, Position: redis.Position{ReplID: id, Offset: 9}}
	}
	source, own := at("r", "old"), at("me", "new")
	for _, tt := range []struct {
		name string
		now  redis.Status
		err  error
		want string
	}{
		{"our sync began a new history", at("r", "new"), nil, "new"},
		{"it has another one", at("r", "newer"), nil, "old"},
		{"it was restarted", at("r2", "new"), nil, "old"},
		{"it did not answer", at("r", "new"), errTimeout, "old"},
	} {
		if got := adoptReplID(source, tt.now, own, tt.err); got.Position.ReplID != tt.want {
			t.Errorf("%s: got %s", tt.name, got.Position.ReplID)
		}
	}
}
