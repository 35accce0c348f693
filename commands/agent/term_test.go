package agent

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/consul/api"

	"resec/commands/catalog"
	"resec/commands/cluster"
	"resec/commands/cluster/clustertest"
	"resec/commands/takeover"
	"resec/handlers"
)

func TestGuardKeeper_Interval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		equal(t, "usually", (&guardKeeper{}).interval(), guardInterval)
		equal(t, "with more unknown replicas", (&guardKeeper{unknown: cluster.UnknownReplicas{Since: time.Now()}}).interval(), cluster.UnknownReplicaGrace/3)
		g := &guardKeeper{alert: time.Now().Add(alertPeriod), unknown: cluster.UnknownReplicas{Since: time.Now()}}
		equal(t, "after a replica was lost", g.interval(), alertInterval)
		<-time.After(alertPeriod)
		equal(t, "later", g.interval(), cluster.UnknownReplicaGrace/3)
	})
}

func TestReplicaLinks(t *testing.T) {
	var l replicaLinks
	equal(t, "nothing is watched", l.set("a", true), false)
	probeNow, end := l.watch("a")
	equal(t, "new", l.set("a", true), true)
	equal(t, "known", l.set("a", true), false)
	equal(t, "streams", l.streams("a"), true)
	equal(t, "another does not", l.streams("b"), false)
	l.probeAll()
	l.probeAll()
	equal(t, "asked for", len(probeNow), 1)
	_, endMoved := l.watch("a") // at its new address
	end()
	equal(t, "still streams", l.streams("a"), true)
	endMoved()
	equal(t, "no longer watched", l.streams("a"), false)
}

func TestFailingSince(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		since := time.Now().Add(-time.Minute)
		of := func(runID string, since time.Time) func(*cluster.Snapshot) {
			return func(k *cluster.Snapshot) { k.Failure = cluster.MasterFailure{RunID: runID, Since: since} }
		}
		equal(t, "it fails", failingSince(situation(of("run-a", since))), since)
		equal(t, "another instance failed", failingSince(situation(of("run-x", since))), time.Now())
		equal(t, "it works", failingSince(situation(of("run-a", time.Time{}))), time.Now())
		equal(t, "there is none", failingSince(situation(clustertest.NoState, of("", since))), time.Now())
	})
}

func TestOperatorWish(t *testing.T) {
	planned, forced := &cluster.Request{To: "me", Session: "o", Planned: true, Accepted: true}, &cluster.Request{To: "me", Session: "o"}
	equal(t, "none", operatorWish(nil, "me"), takeover.Operator{})
	equal(t, "another member", operatorWish(forced, "b"), takeover.Operator{})
	equal(t, "a switchover", operatorWish(planned, "me"), takeover.Operator{Switchover: planned})
	equal(t, "one that is not accepted", operatorWish(&cluster.Request{To: "me", Session: "o", Planned: true}, "me"), takeover.Operator{})
	equal(t, "by force", operatorWish(forced, "me"), takeover.Operator{ForcedFailover: forced})
}

// entry is a member's entry in the catalogue.
func entry(id, node, service string, role catalog.Role, term uint64, status string) handlers.Entry {
	n := catalog.Naming{Prefix: "redis"}
	var e handlers.Entry
	e.Node.Node, e.Node.Address = node, "10.0.0.1"
	e.Service.ID, e.Service.Service, e.Service.Address, e.Service.Port = service, n.Name(role), "10.0.0.1", 6379
	e.Service.Meta = catalog.Meta(id, term, "")
	e.Checks = append(e.Checks, struct{ Status, Output string }{Status: status})
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
		{"one whose agent is dead", agentless, []handlers.Entry{entry("a", "n", "s", catalog.Master, 3, api.HealthCritical)}, "a", false},
		{"another cluster's", agentless, []handlers.Entry{entry("a", "n", "s", catalog.Master, 3, api.HealthPassing)}, "", true},
	} {
		got, err := bareAgent().catalogMaster(tt.v, tt.entries)
		if (err != nil) != tt.fails {
			t.Errorf("%s: %v", tt.name, err)
		}
		id := ""
		if got != nil {
			id = got.ID
			equal(t, "term", got.Term, 3)
			equal(t, "address", got.Address, "10.0.0.1:6379")
		}
		equal(t, tt.name, id, tt.want)
	}
}

func TestStallLimit(t *testing.T) {
	a := bareAgent()
	a.EarlyTakeover = true
	equal(t, "stalls", a.stallLimit(), cluster.StallLimit(4*time.Second, time.Second, time.Second))
}
