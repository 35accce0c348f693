package cluster

import (
	"testing"

	"resec/handlers"
	"resec/handlers/redis"
)

// A full sync has failed if our Redis had data, and is empty without a link or a position.
func TestFullSync_Observe(t *testing.T) {
	m := &Master{Peer: handlers.Peer{ID: "a", RunID: "run-a", Address: "a:1"}}
	st := func(keys int64, change ...func(*redis.Status)) redis.Status {
		st := redis.Status{RunID: "r", MasterAddr: "a:1", Keys: keys, Position: redis.Position{Offset: 1}}
		for _, f := range change {
			f(&st)
		}
		return st
	}
	linked := func(st *redis.Status) { st.LinkUp, st.Position.Offset = true, 100 }
	parked := func(st *redis.Status) { st.MasterAddr = redis.Sink }
	syncing := func(st *redis.Status) { st.Syncing = true }
	loading := func(st *redis.Status) { st.Loading = true }
	positioned := func(st *redis.Status) { st.Position.Offset = 100 }
	other := func(st *redis.Status) { st.MasterAddr = "b:1" }
	again := func(st *redis.Status) { st.RunID = "q" }
	for _, tt := range []struct {
		name   string
		seen   []redis.Status
		failed bool
	}{
		{"emptied, and no link", []redis.Status{st(5, parked), st(5), st(0)}, true},
		{"it tries again", []redis.Status{st(5, parked), st(5, syncing), st(0, syncing)}, true},
		{"it is reading", []redis.Status{st(5, parked), st(5, syncing), st(0, loading)}, false},
		{"a full sync that is completed", []redis.Status{st(5, parked), st(5, syncing), st(7, linked)}, false},
		{"of an empty master", []redis.Status{st(5, parked), st(5, syncing), st(0, linked), st(0)}, false},
		{"it was empty before", []redis.Status{st(0, parked), st(0), st(0, syncing)}, false},
		{"a command emptied it", []redis.Status{st(5, linked), st(0, positioned)}, false},
		{"it follows another", []redis.Status{st(5, parked), st(0, other)}, false},
		{"it was restarted empty", []redis.Status{st(5, parked), st(0, again)}, false},
		{"it stays so after a restart", []redis.Status{st(5, parked), st(0), st(5, parked, again)}, true},
		{"until one is completed", []redis.Status{st(5, parked), st(0), st(0, again, linked)}, false},
	} {
		var f FullSync
		was := ""
		for _, is := range tt.seen {
			f = f.observe(is, is.RunID != was, m)
			was = is.RunID
		}
		if got := f.FailedFrom == "run-a" && f.FailedRun == "r"; got != tt.failed {
			t.Errorf("%s: got %+v", tt.name, f)
		}
	}
}

// After a failed full sync our Redis stays parked: in that run, and with data.
func TestFullSync_RefusedReason(t *testing.T) {
	f := FullSync{FailedFrom: "run-a", FailedRun: "run-me"}
	const refused = "refused: redis could not read its last full sync from a, which had deleted its data; its log says why; " +
		"`resec failover -to ID -force` overrides"
	failed := func(k *Snapshot) { k.FullSync, k.Health.Status.LinkUp = f, false }
	for _, tt := range []struct {
		name string
		k    Snapshot
		want Action
		why  string
	}{
		{"in that run", situation(failed, emptyRedis), Park, refused},
		{"and it stays parked", situation(failed, emptyRedis, parkedRedis), Park, refused},
		{"in another run with data", situation(failed, restartedRedis, parkedRedis), Park, refused},
		{"in another run without data", situation(failed, restartedRedis, parkedRedis, emptyRedis), Follow, "the master is a"},
		{"with another master", situation(failed, parkedRedis, func(k *Snapshot) { k.View.State.Master.RunID = "run-2" }), Follow,
			"the master is a"},
		{"it streams after all", situation(func(k *Snapshot) { k.FullSync = f }), Wait, "following a"},
		{"an operator forces it", situation(failed, parkedRedis, emptyRedis, forcedToFollow), Follow,
			"an operator forces this member to follow a"},
	} {
		if got, why := decideFollow(tt.k, "me"); got != tt.want || why != tt.why {
			t.Errorf("%s: got %s (%s)", tt.name, got, why)
		}
	}
}

// An agent that is restarted knows of it in the same run.
func TestObservation_AdoptKey(t *testing.T) {
	parked := situation(parkedRedis)
	parked.AdoptKey(MemberKey{RunID: "run-me", FailedSync: "run-a", StreamErrors: StreamErrors{Count: 1}})
	if parked.FullSync != (FullSync{FailedFrom: "run-a", FailedRun: "run-me"}) || parked.StreamErrors.Count != 1 {
		t.Errorf("got %+v, %+v", parked.FullSync, parked.StreamErrors)
	}
	parked.Operator.RunID = "run-me"
	if got := OwnMemberKey(parked, Master{}).FailedSync; got != "run-a" {
		t.Errorf("the member key has %q", got)
	}
	other, streams := situation(parkedRedis), situation()
	other.AdoptKey(MemberKey{RunID: "run-old", FailedSync: "run-a"})
	streams.AdoptKey(MemberKey{RunID: "run-me", FailedSync: "run-a"})
	if other.FullSync.FailedFrom != "" || streams.FullSync.FailedFrom != "" {
		t.Errorf("another run: %+v; it streams: %+v", other.FullSync, streams.FullSync)
	}
}

// A Redis that is empty since a full sync failed is not in sync, whatever its record says.
func TestLostData(t *testing.T) {
	key := MemberKey{RunID: "run-b", FailedSync: "run-a"}
	v := View{LiveAgents: map[string]MemberKey{"b": key}}
	for _, tt := range []struct {
		name string
		st   redis.Status
		want bool
	}{
		{"it is empty and parked", redis.Status{RunID: "run-b", MasterAddr: redis.Sink}, true},
		{"it was restarted", redis.Status{RunID: "run-new", MasterAddr: redis.Sink}, false},
		{"it has data again", redis.Status{RunID: "run-b", Keys: 1, MasterAddr: redis.Sink}, false},
		{"it streams again", redis.Status{RunID: "run-b", MasterAddr: "c:1", LinkUp: true}, false},
		{"it is a master", redis.Status{RunID: "run-b", Master: true}, false},
	} {
		if got := v.LostData("b", tt.st); got != tt.want {
			t.Errorf("%s: %t", tt.name, got)
		}
	}
	s := ledBy("a")
	emptied := replica("b", empty, func(c *Candidate) { c.LostData = true })
	if why := emptied.IneligibleReason(s, RecordedOnly); why == "" || emptied.IneligibleReason(s, AnyMember) != "" {
		t.Errorf("in a recorded election: %q", why)
	}
	if got := s.Eligibility([]Candidate{emptied, replica("c", restart)}, false); got != RecordedOnly {
		t.Errorf("without the master: %v", got)
	}
	if got := s.Eligibility([]Candidate{emptied, replica("c", restart), replica("a", restart)}, false); got != AnyMember {
		t.Errorf("with the master: %v", got)
	}
	s.Members["b"] = MemberRecord{RunID: "run-b"}
	key.Session = "b's"
	seen := MemberObservation{ID: "b", MemberKey: key, Status: &redis.Status{RunID: "run-b", MasterAddr: redis.Sink}}
	if after := s.UpdateMembers([]MemberObservation{seen}, redis.Position{}); !after.Members["b"].CatchingUp {
		t.Errorf("it is recorded as %+v", after.Members["b"])
	}
}
