package agent

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/consul/api"

	"resec/commands/catalog"
	"resec/commands/cluster"
	"resec/commands/cluster/clustertest"
	"resec/commands/expect"
	"resec/commands/known"
	"resec/commands/takeover"
	"resec/handlers"
)

func TestMastershipChange(t *testing.T) {
	began := time.Now()
	steps := []cluster.Step{{Name: "peers_parked", At: time.Millisecond}, {Name: "writes_enabled", At: 5 * time.Millisecond}}
	drained := []cluster.Step{{Name: "paused", At: 2 * time.Millisecond}, {Name: "writes_enabled", At: 9 * time.Millisecond}}
	after := leading().View
	for _, tt := range []struct {
		name   string
		before known.Snapshot
		since  time.Time
		steps  []cluster.Step
		moved  bool
		cause  string
		outage time.Duration
	}{
		{"since the lock is free", situation(func(k *cluster.Snapshot) { k.View.State.Why = cluster.WhyDead }), began.Add(-time.Second),
			steps, true, "dead", time.Second + 5*time.Millisecond},
		{"since it was transferred", situation(func(k *cluster.Snapshot) { k.View.State.Why = cluster.WhyLeaving }), time.Time{},
			drained, true, "leaving", 7 * time.Millisecond},
		{"while the old master continues", situation(), began.Add(-time.Second), drained, true, "the lock was lost",
			7 * time.Millisecond},
		{"by a switchover", situation(clustertest.Requested("me"),
			func(k *cluster.Snapshot) { k.View.Request.Planned, k.View.Request.Accepted = true, true }), time.Time{}, drained, true,
			"switchover", 7 * time.Millisecond},
		{"by force", situation(clustertest.Requested("me")), time.Time{}, drained, true, "failover by force", 7 * time.Millisecond},
		{"without a master before", situation(clustertest.NoState), began, steps, true, "the first master", 0},
		{"from itself", leading(), began, steps, false, "the lock was lost", 5 * time.Millisecond},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, moved := mastershipChange(tt.before, after, tt.since, began, tt.steps)
			if moved != tt.moved || c.Cause != tt.cause || c.Outage != tt.outage || c.To != "me" || c.Term != 5 {
				t.Errorf("got %+v, %t", c, moved)
			}
		})
	}
}

func TestFailingSince(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		since := time.Now().Add(-time.Minute)
		of := func(runID string, since time.Time) func(*cluster.Snapshot) {
			return func(k *cluster.Snapshot) { k.Failure = cluster.MasterFailure{RunID: runID, Since: since} }
		}
		expect.Equal(t, "it fails", failingSince(situation(of("run-a", since))), since)
		expect.Equal(t, "another instance failed", failingSince(situation(of("run-x", since))), time.Now())
		expect.Equal(t, "it works", failingSince(situation(of("run-a", time.Time{}))), time.Now())
		expect.Equal(t, "there is none", failingSince(situation(clustertest.NoState, of("", since))), time.Now())
	})
}

func TestOperatorWish(t *testing.T) {
	planned, forced := &cluster.Request{To: "me", Session: "o", Planned: true, Accepted: true},
		&cluster.Request{To: "me", Session: "o"}
	expect.Equal(t, "none", operatorWish(nil, "me"), takeover.Operator{})
	expect.Equal(t, "another member", operatorWish(forced, "b"), takeover.Operator{})
	expect.Equal(t, "a switchover", operatorWish(planned, "me"), takeover.Operator{Switchover: planned})
	expect.Equal(t, "one that is not accepted", operatorWish(&cluster.Request{To: "me", Session: "o", Planned: true}, "me"),
		takeover.Operator{})
	expect.Equal(t, "by force", operatorWish(forced, "me"), takeover.Operator{ForcedFailover: forced})
}

// entry is a member's entry in the catalogue.
func entry(id, node, service string, role catalog.Role, term uint64, status string) handlers.Entry {
	n := catalog.Naming{Prefix: "redis"}
	var e handlers.Entry
	e.Node.Node, e.Node.Address = node, "10.0.0.1"
	e.Service.ID, e.Service.Service, e.Service.Address, e.Service.Port = service, n.Name(role), "10.0.0.1", 6379
	e.Service.Meta = catalog.Meta(id, term, "")
	e.Checks = append(e.Checks, handlers.Check{Status: status})
	return e
}

func TestCatalogMaster(t *testing.T) {
	agentless := cluster.View{}
	alive := cluster.View{LiveAgents: map[string]cluster.MemberKey{"a": {Session: "a's"}}}
	for _, tt := range []struct {
		name    string
		v       cluster.View
		entries []handlers.Entry
		want    string
		fails   bool
	}{
		{"none", agentless, nil, "", false},
		{"ours", agentless, []handlers.Entry{entry("me", "n", "s", catalog.Master, 3, api.HealthPassing)}, "", false},
		{"one without an id", agentless, []handlers.Entry{entry("", "n", "s", catalog.Master, 3, api.HealthPassing)}, "", false},
		{"a replica", alive, []handlers.Entry{entry("a", "n", "s", catalog.Replica, 3, api.HealthPassing)}, "", false},
		{"one under this lock", alive, []handlers.Entry{entry("a", "n", "s", catalog.Master, 3, api.HealthPassing)}, "a", false},
		{"one whose agent is dead", agentless, []handlers.Entry{entry("a", "n", "s", catalog.Master, 3, api.HealthCritical)}, "a",
			false},
		{"another cluster's", agentless, []handlers.Entry{entry("a", "n", "s", catalog.Master, 3, api.HealthPassing)}, "", true},
	} {
		got, err := bareAgent().catalogMaster(tt.v, tt.entries)
		if (err != nil) != tt.fails {
			t.Errorf("%s: %v", tt.name, err)
		}
		id := ""
		if got != nil {
			id = got.ID
			expect.Equal(t, "term", got.Term, 3)
			expect.Equal(t, "address", got.Address, "10.0.0.1:6379")
		}
		expect.Equal(t, tt.name, id, tt.want)
	}
}

// Who is asked are the recorded members but us, where their agents say that they are.
func TestRecordedPeers(t *testing.T) {
	v := cluster.View{State: cluster.State{Master: &cluster.Master{Peer: handlers.Peer{ID: "a", RunID: "run-a"}},
		Members: map[string]cluster.MemberRecord{
			"a": {RunID: "run-a", Address: "a:1"}, "me": {RunID: "run-me", Address: "me:1"}, "b": {RunID: "run-b", Address: "b:1"},
			"c": {RunID: "run-c", Address: "c:1"}}},
		LiveAgents: map[string]cluster.MemberKey{"b": {Session: "b's", RunID: "run-new", Address: "new:1"},
			"x": {Session: "x's", RunID: "run-x", Address: "x:1"}}}
	want := []takeover.RecordedPeer{ // the recorded ones but us, where their agents say that they are
		{ID: "a", Address: "a:1"},
		{ID: "b", Address: "new:1", Session: "b's"},
		{ID: "c", Address: "c:1"},
	}
	if d := cmp.Diff(want, recordedPeers(v, "me")); d != "" {
		t.Error(d)
	}
}
