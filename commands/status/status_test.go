package status

import (
	"errors"
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"

	"resec/commands/cluster"
	"resec/handlers"
	"resec/handlers/redis"
)

// view is the lock held by "a", which is published.
func view(change ...func(*cluster.View)) cluster.View {
	v := cluster.View{Index: 9, Session: "s", Holder: "a", StateIndex: 8, State: cluster.State{Master: &cluster.Master{Peer: handlers.Peer{ID: "a", RunID: "run-a", Address: "a:6379", Term: 4}}}}
	for _, f := range change {
		f(&v)
	}
	return v
}

func free(v *cluster.View) { v.Session = "" }

// replica is the answer of a linked replica, 10 bytes behind; master is the published one's.
func replica(id string, change ...func(*MemberStatus)) MemberStatus {
	a := MemberStatus{Member: cluster.Member{ID: id, Address: id + ":6379", Check: "passing", Output: "replica of a:6379", Term: 4}, Status: redis.Status{
		RunID: "run-" + id, Version: "7.0.15", MasterAddr: "a:6379", LinkUp: true, Position: redis.Position{ReplID: "l", Offset: 90}}}
	for _, f := range change {
		f(&a)
	}
	return a
}

func master(change ...func(*MemberStatus)) MemberStatus {
	return replica("a", append([]func(*MemberStatus){func(a *MemberStatus) {
		a.Status.Master, a.Status.MasterAddr, a.Status.LinkUp, a.Status.Position.Offset, a.Output = true, "", false, 100, "master, term 4"
	}}, change...)...)
}

func silent(a *MemberStatus) { a.Status, a.Err = redis.Status{}, errors.New("no answer") }
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
	for _, tt := range []struct {
		name    string
		view    cluster.View
		answers []MemberStatus
		code    int
		verdict string
	}{
		{"a master and its replicas are healthy", view(), []MemberStatus{master(), replica("b"), replica("c")}, Healthy, "healthy: master a, term 4, 2 linked replicas"},
		{"a master alone is healthy", view(), []MemberStatus{master()}, Healthy, "healthy: master a, term 4, 0 linked replicas"},
		{"a lock that nobody holds degrades", view(free), []MemberStatus{master(), replica("b")}, Degraded, "degraded: master a, term 4, 1 linked replicas; nobody holds the lock"},
		{"a replica that does not answer degrades, and does not count", view(), []MemberStatus{master(), replica("b", silent), replica("c")}, Degraded,
			"degraded: master a, term 4, 1 linked replicas; b: no answer"},
		{"all that is wrong is told", view(free), []MemberStatus{master(check("critical", "TTL expired\n")), replica("b", down)}, Degraded,
			"degraded: master a, term 4, 0 linked replicas; nobody holds the lock; a: TTL expired; b: follows a:6379"},
		{"a second master degrades", view(), []MemberStatus{master(), replica("b", promoted)}, Degraded,
			"degraded: master a, term 4, 0 linked replicas; b: a master that is not the published one"},
		{"a published master that does not answer is none", view(), []MemberStatus{master(silent), replica("b")}, NoMaster, "no master: the published one, a, is not to be found"},
		{"one that was restarted is none", view(), []MemberStatus{master(func(a *MemberStatus) { a.Status.RunID = "new" })}, NoMaster, "no master: the published one, a, is not to be found"},
		{"one that has become a replica is none", view(), []MemberStatus{replica("a"), replica("b", promoted)}, NoMaster, "no master: the published one, a, is not to be found"},
		{"one that is fenced is none", view(), []MemberStatus{master(fenced)}, NoMaster, "no master: the published one, a, refuses writes"},
		{"one whose replicas are gone refuses writes", view(), []MemberStatus{master(guarded(1))}, NoMaster, "no master: the published one, a, refuses writes for want of replicas"},
		{"one that has enough does not", view(), []MemberStatus{master(guarded(1), attached), replica("b")}, Healthy, "healthy: master a, term 4, 1 linked replicas"},
		{"before the first one there is none", cluster.View{Index: 9}, []MemberStatus{replica("b")}, NoMaster, "no master: none was ever published under this lock key"},
		{"no members at all", view(), nil, NoMaster, "no master: the published one, a, is not to be found"},
		{"a lock that cannot be read comes first", view(func(v *cluster.View) { v.Err = cluster.ErrConflict }), []MemberStatus{master()}, NoMaster, "no master: the lock key is in use, and not as a lock"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := New(tt.view, tt.answers)
			if r.Code != tt.code || r.Verdict != tt.verdict {
				t.Errorf("got %d %q\nwant %d %q", r.Code, r.Verdict, tt.code, tt.verdict)
			}
		})
	}
}

func TestNew_Members(t *testing.T) {
	bytes := func(n int64) *int64 { return &n }
	row := func(change func(*Member)) Member {
		m := Member{ID: "b", Address: "b:6379", Role: "replica", Term: 4, Link: "up", Offset: 90, Behind: bytes(10), Check: "passing", Version: "7.0.15"}
		change(&m)
		return m
	}
	for _, tt := range []struct {
		name   string
		answer MemberStatus
		want   Member
	}{
		{"a linked replica", replica("b"), row(func(*Member) {})},
		{"one that is ahead of what the master said before is not behind", replica("b", func(a *MemberStatus) { a.Status.Position.Offset = 101 }),
			row(func(m *Member) { m.Offset, m.Behind = 101, bytes(0) })},
		{"one of another lineage cannot be compared", replica("b", func(a *MemberStatus) { a.Status.Position.ReplID = "x" }), row(func(m *Member) { m.Behind = nil })},
		{"one whose link is down", replica("b", down), row(func(m *Member) { m.Link, m.Note = "down", "follows a:6379" })},
		{"one that is syncing", replica("b", syncing), row(func(m *Member) { m.Link, m.Note = "syncing", "follows a:6379" })},
		{"one that is parked says what its check says", replica("b", parked, check("warning", " parked; waits for a master\n")),
			row(func(m *Member) { m.Link, m.Check, m.Note = "parked", "warning", "parked; waits for a master" })},
		{"one that is fenced, which takes no writes anyway", replica("b", fenced), row(func(m *Member) { m.Guard = "fence" })},
		{"one that does not answer is unknown", replica("b", silent), Member{ID: "b", Address: "b:6379", Role: "unknown", Term: 4, Check: "passing", Note: "no answer"}},
		{"another master", replica("b", promoted), row(func(m *Member) {
			m.Role, m.Link, m.Behind, m.Guard, m.Note = "master", "", nil, "none", "a master that is not the published one"
		})},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := Member{ID: "a", Address: "a:6379", Role: "master", Holder: true, Term: 4, Offset: 100, Guard: "none", Check: "passing", Version: "7.0.15"}
			want := []Member{a, tt.want}
			if d := cmp.Diff(want, New(view(), []MemberStatus{master(), tt.answer}).Members); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestNew_Holder(t *testing.T) {
	for _, tt := range []struct {
		name, want string
		view       cluster.View
		held       bool
	}{
		{"who holds the lock", "a", view(), true},
		{"a lock that is free has no holder, whatever stands in it", "", view(free), false},
		{"a holder that is no member", "Consul Lock", view(func(v *cluster.View) { v.Holder = "Consul Lock" }), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := New(tt.view, []MemberStatus{master()})
			if r.Holder != tt.want || r.Members[0].Holder != tt.held || r.Term != 4 {
				t.Errorf("holder %q, held %t, term %d; want %q, %t, 4", r.Holder, r.Members[0].Holder, r.Term, tt.want, tt.held)
			}
		})
	}
}

// Why a member is kept from following or leading, as its own agent would say.
func TestNew_Barred(t *testing.T) {
	known := view(func(v *cluster.View) {
		v.State.Histories = []string{"l"}
		v.State.Members = map[string]cluster.MemberRecord{"a": {RunID: "run-a"}, "b": {RunID: "run-b"}, "c": {RunID: "run-c", CatchingUp: true}}
	})
	foreign := func(a *MemberStatus) { a.Status.Keys, a.Status.Position.ReplID = 7, "z" }
	fit := func(a *MemberStatus) { a.Status.Priority = 100 }
	restarted := func(a *MemberStatus) { a.Status.RunID = "run-new" }
	for _, tt := range []struct {
		name    string
		answers []MemberStatus
		of      int
		want    string
	}{
		{"a member that follows is kept from nothing", []MemberStatus{master(), replica("b", fit)}, 1, ""},
		{"a stranger with data is kept from following", []MemberStatus{master(), replica("x", fit, foreign, parked, check("warning", "parked; waits for a master"))}, 1,
			"refused: its 7 keys were never this cluster's, and following would wipe them; `resec failover -to ID -force` overrides"},
		{"where there is a master nobody is said to be kept from leading", []MemberStatus{master(), replica("c", fit)}, 1, ""},
		{"where there is none, who joins is", []MemberStatus{master(silent), replica("c", fit, parked)}, 1, "may not lead: it has not caught up with the master"},
		{"so is who was restarted", []MemberStatus{master(silent), replica("b", fit, parked, restarted)}, 1, "may not lead: it was restarted since it was recorded"},
		{"unless all were", []MemberStatus{master(restarted, parked, fit, promotedNot), replica("b", fit, restarted, down), replica("c", fit, restarted, down)}, 1, "follows a:6379"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := New(known, tt.answers).Members[tt.of].Note; got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func promotedNot(a *MemberStatus) { a.Status.Master = false }

func TestNew_Guard(t *testing.T) {
	off := view(func(v *cluster.View) { v.State.Master.Guard = cluster.GuardOff })
	for _, tt := range []struct {
		view cluster.View
		a    MemberStatus
		want string
	}{
		{view(), master(guarded(1), attached), "1 of 1"},
		{view(), master(guarded(2), attached), "2 of 1"},
		{view(), master(guarded(0), attached), "none"},
		{view(), master(guarded(1), fenced), "fence"},
		{off, master(), "off"},
		{view(), replica("b", guarded(1)), ""},
	} {
		if got := New(tt.view, []MemberStatus{tt.a}).Members[0].Guard; got != tt.want {
			t.Errorf("got %q, want %q", got, tt.want)
		}
	}
}
