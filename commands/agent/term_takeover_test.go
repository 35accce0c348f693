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
	"resec/commands/takeover"
	"resec/handlers"
)

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
