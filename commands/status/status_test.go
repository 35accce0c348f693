package status

import (
	"errors"
	"math"
	"slices"
	"syscall"
	"testing"

	"resec/commands/cluster"
	"resec/handlers"
	"resec/handlers/redis"
)

// view is a view of a cluster whose published master "a" holds the lock. Its members are recorded as in sync.
func view(change ...func(*cluster.View)) cluster.View {
	members := map[string]cluster.MemberRecord{}
	for _, id := range []string{"a", "b", "c", "d"} {
		members[id] = cluster.MemberRecord{RunID: "run-" + id}
	}
	a := cluster.Master{Peer: handlers.Peer{ID: "a", RunID: "run-a", Address: "a:6379", Term: 4}}
	v := cluster.View{Index: 9, Session: "s", Holder: "a", StateIndex: 8, State: cluster.State{Master: &a, Members: members}}
	for _, f := range change {
		f(&v)
	}
	return v
}

func free(v *cluster.View) { v.Session = "" }

// replica is the answer of a streaming replica that is 10 bytes behind.
func replica(id string, change ...func(*MemberStatus)) MemberStatus {
	a := MemberStatus{
		Member: cluster.Member{ID: id, Address: id + ":6379", Check: "passing", Output: "replica of a:6379", Term: 4},
		Status: redis.Status{RunID: "run-" + id, Version: "7.0.15", MasterAddr: "a:6379", LinkUp: true, Priority: 100,
			Position: redis.Position{ReplID: "l", Offset: 90}},
		key: true,
	}
	for _, f := range change {
		f(&a)
	}
	return a
}

// master is the answer of the published master.
func master(change ...func(*MemberStatus)) MemberStatus {
	a := replica("a", promoted)
	a.Status.LinkUp, a.Status.Position.Offset, a.Output = false, 100, "master, term 4"
	for _, f := range change {
		f(&a)
	}
	return a
}

func unreachable(a *MemberStatus) { a.Status, a.Err = redis.Status{}, errors.New("no answer") }
func denied(a *MemberStatus)      { a.Status, a.Err = redis.Status{}, redis.ErrTooOld } // an answer that is no status
func refused(a *MemberStatus)     { a.Status, a.Err = redis.Status{}, syscall.ECONNREFUSED }

// alive is a view with the key of the master's agent.
func alive(v *cluster.View) {
	v.LiveAgents = map[string]cluster.MemberKey{"a": {Session: "s", RunID: "run-a"}}
}

func fenced(a *MemberStatus) { a.Status.MinReplicas = math.MaxInt32 }
func guarded(n int) func(*MemberStatus) {
	return func(a *MemberStatus) { a.Status.MinReplicas, a.Status.MaxLag = n, 5 }
}
func attached(a *MemberStatus) {
	a.Status.Replicas = []redis.Replica{{Addr: "b:6379", Online: true, Lag: 1}}
}
func down(a *MemberStatus)    { a.Status.LinkUp = false }
func parked(a *MemberStatus)  { a.Status.LinkUp, a.Status.MasterAddr = false, redis.Sink }
func syncing(a *MemberStatus) { a.Status.LinkUp, a.Status.Syncing = false, true }
func promoted(a *MemberStatus) {
	a.Status.Master, a.Status.MasterAddr = true, ""
}
func check(status, output string) func(*MemberStatus) {
	return func(a *MemberStatus) { a.Check, a.Output = status, output }
}

func TestNew_Verdict(t *testing.T) {
	const notFound = "no master: the published master a is down, unreachable, restarted or a replica"
	const notAsked = "no master: the published master a cannot be asked: redis 6.2 or newer is needed"
	restarted := func(a *MemberStatus) { a.Status.RunID = "new" }
	for _, tt := range []struct {
		name    string
		view    cluster.View
		answers []MemberStatus
		code    int
		verdict string
	}{
		{"a master and its replicas are healthy", view(), []MemberStatus{master(), replica("b"), replica("c")}, Healthy,
			"healthy: master a, term 4, 2 streaming replicas"},
		{"a master alone is healthy", view(), []MemberStatus{master()}, Healthy,
			"healthy: master a, term 4, 0 streaming replicas"},
		{"a free lock is a problem", view(free), []MemberStatus{master(), replica("b")}, Degraded,
			"degraded: master a, term 4, 1 streaming replicas; the lock is free"},
		{"a replica that streams counts, whatever else is wrong with it", view(), []MemberStatus{master(), replica("b", func(a *MemberStatus) { a.Check = "critical" })},
			Degraded, "degraded: master a, term 4, 1 streaming replicas; b: replica of a:6379"},
		{"not one of another master", view(), []MemberStatus{master(), replica("b", func(a *MemberStatus) { a.Status.MasterAddr = "x:1" })},
			Degraded, "degraded: master a, term 4, 0 streaming replicas; b: replicates from x:1"},
		{"an unreachable replica is a problem, and is not counted", view(), []MemberStatus{master(), replica("b", unreachable),
			replica("c")},
			Degraded, "degraded: master a, term 4, 1 streaming replicas; b: no answer"},
		{"all problems are listed", view(free), []MemberStatus{master(check("critical", "TTL expired\n")), replica("b", down)},
			Degraded,
			"degraded: master a, term 4, 0 streaming replicas; the lock is free; a: its agent has not updated its check in time: it is stopped, hangs, or does not reach consul; b: replicates from a:6379, and the link is down"},
		{"one of another lock key", view(), []MemberStatus{master(), replica("b", promoted, func(a *MemberStatus) { a.key = false })}, Degraded,
			"degraded: master a, term 4, 0 streaming replicas; b: a master, but not the published one; its agent is alive and not " +
				"under this lock: the members of one cluster have the same CONSUL_LOCK_KEY"},
		{"a second master is a problem", view(), []MemberStatus{master(), replica("b", promoted)}, Degraded,
			"degraded: master a, term 4, 0 streaming replicas; b: a master, but not the published one"},
		{"the published master is unreachable", view(), []MemberStatus{master(unreachable), replica("b")}, NoMaster, notFound},
		{"the published master was restarted", view(), []MemberStatus{master(restarted)}, NoMaster, notFound},
		{"the published master became a replica", view(), []MemberStatus{replica("a"), replica("b", promoted)}, NoMaster,
			notFound},
		{"there are no members", view(), nil, NoMaster, notFound},
		{"the master denies access, and its agent says that it is the master", view(alive), []MemberStatus{master(denied), replica("b")},
			Degraded, "degraded: master a, term 4, 1 streaming replicas; a: redis 6.2 or newer is needed; " +
				"its agent says that it is the master"},
		{"its agent's check has expired", view(alive), []MemberStatus{master(denied, check("critical", "TTL expired")), replica("b")},
			NoMaster, notAsked},
		{"it is down, whatever its agent says", view(alive), []MemberStatus{master(refused), replica("b")}, NoMaster, notFound},
		{"the lock is another's", view(alive, func(v *cluster.View) { v.Holder = "b" }), []MemberStatus{master(denied), replica("b")},
			NoMaster, notAsked},
		{"a member of which only its key is left", view(alive, func(v *cluster.View) { v.LiveAgents["c"] = cluster.MemberKey{} }),
			[]MemberStatus{master(), replica("b")}, Degraded,
			"degraded: master a, term 4, 1 streaming replicas; c: it is gone; `resec forget c` if it will not come back"},
		{"the master is fenced", view(), []MemberStatus{master(fenced)}, NoMaster,
			"no master: the published master a is fenced: it refuses writes"},
		{"the master's guard has closed", view(), []MemberStatus{master(guarded(1))}, NoMaster,
			"no master: the published master a refuses writes: it has too few replicas"},
		{"the master has the replicas that its guard needs", view(), []MemberStatus{master(guarded(1), attached), replica("b")},
			Healthy,
			"healthy: master a, term 4, 1 streaming replicas"},
		{"no master was ever published", cluster.View{Index: 9}, []MemberStatus{replica("b")}, NoMaster,
			"no master: none was published yet under this lock key"},
		{"nothing is there", cluster.View{Index: 9}, nil, NoMaster, "no master: none was published yet under this lock key, " +
			"and no agent is registered: start one, or correct CONSUL_LOCK_KEY and the service name " +
			"(CONSUL_SERVICE_PREFIX or CONSUL_SERVICE_NAME)"},
		{"a lock that cannot be read is reported first", view(func(v *cluster.View) { v.Err = cluster.ErrConflict }),
			[]MemberStatus{master()},
			NoMaster, "no master: " + cluster.ErrConflict.Error()},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := New(tt.view, tt.answers)
			if r.Code != tt.code || r.Verdict != tt.verdict {
				t.Errorf("got %d %q\nwant %d %q", r.Code, r.Verdict, tt.code, tt.verdict)
			}
		})
	}
}

// A member that was not started parked is healthy, and warned of for as long as that run lasts.
func TestNew_Warnings(t *testing.T) {
	v := view(func(v *cluster.View) {
		v.LiveAgents = map[string]cluster.MemberKey{"a": {RunID: "run-a", StartedAs: "master"}, "b": {RunID: "run-b"},
			"c": {RunID: "earlier", StartedAs: "master"}, "d": {RunID: "run-d", StartedAs: "replica of a:6379"}}
	})
	r := New(v, []MemberStatus{master(), replica("b"), replica("c"), replica("d")})
	want := []string{"a: " + cluster.StartRole("master").Warning(), "d: " + cluster.StartRole("replica of a:6379").Warning()}
	if r.Code != Healthy || !slices.Equal(r.Warnings, want) {
		t.Errorf("got %d %q", r.Code, r.Warnings)
	}
	never := func(a *MemberStatus) { a.Status.Priority = 0 }
	r = New(v, []MemberStatus{master(), replica("b", never), replica("c", never), replica("d", never)})
	want = append(want, "no replica may take over: the replica-priority of each is 0")
	if r.Code != Healthy || !slices.Equal(r.Warnings, want) {
		t.Errorf("got %d %q", r.Code, r.Warnings)
	}
}
