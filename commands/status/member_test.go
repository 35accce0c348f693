package status

import (
	"context"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"resec/commands/cluster"
	"resec/handlers/redis"
)

func refusing(a *MemberStatus) {
	a.Status.Refusals = []redis.Refusal{{Code: redis.RefusalDisk, Text: "its disk is full", Now: true}}
}

func TestNew_Members(t *testing.T) {
	bytes := func(n int64) *int64 { return &n }
	row := func(change func(*Member)) Member {
		m := Member{ID: "b", Address: "b:6379", Role: "replica", Term: 4, Link: "up", Offset: 90, Behind: bytes(10),
			Check:   "passing",
			Version: "7.0.15", Source: "redis"}
		change(&m)
		return m
	}
	for _, tt := range []struct {
		name   string
		answer MemberStatus
		want   Member
	}{
		{"a streaming replica", replica("b"), row(func(*Member) {})},
		{"ahead of the master's answer, which is older", replica("b", func(a *MemberStatus) { a.Status.Position.Offset = 101 }),
			row(func(m *Member) { m.Offset, m.Behind = 101, bytes(0) })},
		{"another replication ID cannot be compared", replica("b", func(a *MemberStatus) { a.Status.Position.ReplID = "x" }),
			row(func(m *Member) { m.Behind = nil })},
		{"its link is down", replica("b", down), row(func(m *Member) { m.Link, m.Note = "down", "replicates from a:6379, and the link is down" })},
		{"it is syncing", replica("b", syncing), row(func(m *Member) { m.Link, m.Note = "syncing", "in a full sync from a:6379" })},
		{"what it says itself is newer than the output of its check",
			replica("b", syncing, check("warning", "parked; waits for a master")),
			row(func(m *Member) { m.Link, m.Check, m.Note = "syncing", "warning", "in a full sync from a:6379" })},
		{"a parked one whose check is older", replica("b", parked, check("warning", "the link to a:6379 is down")),
			row(func(m *Member) {
				m.Link, m.Check, m.Note = "parked", "warning", "parked; its check: the link to a:6379 is down"
			})},
		{"one that clients cannot find", replica("b", check("critical", "x"), func(a *MemberStatus) { a.Hidden = "the node's check" }),
			row(func(m *Member) { m.Check, m.Note = "critical", "clients cannot find it: the node's check" })},
		{"one that is restarted again and again",
			replica("b", func(a *MemberStatus) { a.Restarts = cluster.Restarts{Count: 3, Last: time.Now().Unix()} }),
			row(func(m *Member) { m.Restarts, m.Note = 3, "its redis was restarted 3 times lately" })},
		{"one that was restarted again and again, and would refuse writes", replica("b", refusing,
			func(a *MemberStatus) { a.Restarts = cluster.Restarts{Count: 3, Last: time.Now().Unix()} }),
			row(func(m *Member) {
				m.Restarts = 3
				m.Note = "as a master it would refuse writes: its disk is full; its redis was restarted 3 times lately"
			})},
		{"one that was restarted now and then",
			replica("b", func(a *MemberStatus) { a.Restarts = cluster.Restarts{Count: 2, Last: time.Now().Unix()} }),
			row(func(m *Member) { m.Restarts = 2 })},
		{"a parked one has the note of its check", replica("b", parked, check("warning", " parked; waits for a master\n")),
			row(func(m *Member) { m.Link, m.Check, m.Note = "parked", "warning", "parked; waits for a master" })},
		{"its data are not the master's", replica("b", func(a *MemberStatus) { a.StreamErrors = 2 }),
			row(func(m *Member) { m.Note = cluster.StreamErrorsReason(2) })},
		{"a fenced replica", replica("b", fenced), row(func(m *Member) { m.Guard = "fence" })},
		{"one that would refuse writes", replica("b", refusing),
			row(func(m *Member) { m.Note = "as a master it would refuse writes: its disk is full" })},
		{"an unreachable one has an unknown role", replica("b", unreachable),
			Member{ID: "b", Address: "b:6379", Role: "unknown", Term: 4, Check: "passing", Note: "no answer",
				Source: "consul"}},
		{"one that refuses connections", replica("b", unreachable, func(a *MemberStatus) { a.Err = syscall.ECONNREFUSED }),
			Member{ID: "b", Address: "b:6379", Role: "unknown", Term: 4, Check: "passing", Source: "consul",
				Note: "redis refuses connections from here"}},
		{"one that is silent", replica("b", unreachable, func(a *MemberStatus) { a.Err = context.DeadlineExceeded }),
			Member{ID: "b", Address: "b:6379", Role: "unknown", Term: 4, Check: "passing", Source: "consul",
				Note: "redis does not answer here"}},
		{"the reason of an agent that waits", replica("b", unreachable, func(a *MemberStatus) { a.Why = "not started yet: NOAUTH" }),
			Member{ID: "b", Address: "b:6379", Role: "unknown", Term: 4, Check: "passing", Source: "consul",
				Note: "no answer; its agent says: not started yet: NOAUTH"}},
		{"another master", replica("b", promoted), row(func(m *Member) {
			m.Role, m.Link, m.Behind, m.Guard, m.Note = "master", "", nil, "none", "a master, but not the published one"
		})},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := Member{ID: "a", Address: "a:6379", Role: "master", Holder: true, Term: 4, Offset: 100, Guard: "none",
				Check:   "passing",
				Version: "7.0.15", Source: "redis"}
			want, got := []Member{a, tt.want}, New(view(), []MemberStatus{master(), tt.answer}).Members
			for i, m := range got {
				if (m.Reason == "") != (m.Note == "") {
					t.Errorf("the reason %q of %q", m.Reason, m.Note)
				}
				want[i].Reason = m.Reason // TestNew_Reasons
			}
			if d := cmp.Diff(want, got); d != "" {
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
		{"the master holds the lock", "a", view(), true},
		{"a free lock has no holder, whatever its value is", "", view(free), false},
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

// Before the first election a Redis that replicates from a server is named with that server: the master may be somebody else's.
func TestNew_FollowsSomebodyElse(t *testing.T) {
	never := view(free, func(v *cluster.View) { v.State.Master, v.State.Members = nil, nil })
	got := New(never, []MemberStatus{replica("b", func(a *MemberStatus) { a.Status.MasterAddr = "x:7000" })}).Members[0].Note
	if want := "replicates from x:7000, and no master is published"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// The reasons why a member may not follow or lead are those that its own agent gives.
func TestNew_Refusal(t *testing.T) {
	known := view(func(v *cluster.View) {
		v.State.Histories = []string{"l"}
		v.State.Members = map[string]cluster.MemberRecord{"a": {RunID: "run-a"}, "b": {RunID: "run-b"}, "c": {RunID: "run-c",
			CatchingUp: true}}
	})
	unrelated := func(a *MemberStatus) { a.Status.Keys, a.Status.Position.ReplID = 7, "z" }
	fit := func(a *MemberStatus) { a.Status.Priority = 100 }
	restarted := func(a *MemberStatus) { a.Status.RunID = "run-new" }
	for _, tt := range []struct {
		name    string
		answers []MemberStatus
		of      int
		want    string
	}{
		{"a streaming member may follow and lead", []MemberStatus{master(), replica("b", fit)}, 1, ""},
		{"an unrelated one with data may not follow",
			[]MemberStatus{master(), replica("x", fit, unrelated, parked, check("warning", "parked; waits for a master"))}, 1,
			known.State.RefuseFollowReason("x", redis.Status{Keys: 7, Position: redis.Position{ReplID: "z", Offset: 90}})},
		{"while there is a master, one that is catching up could not take over", []MemberStatus{master(), replica("c", fit)}, 1,
			"not recorded as in sync with the master: " + known.State.NotRecordedReason("c", "run-c")},
		{"nor could one that was restarted", []MemberStatus{master(), replica("b", fit, restarted)}, 1,
			"not recorded as in sync with the master: " + known.State.NotRecordedReason("b", "run-new")},
		{"without a master, one that is catching up may not lead", []MemberStatus{master(unreachable), replica("c", fit,
			parked)}, 1,
			"may not lead: " + known.State.NotRecordedReason("c", "run-c")},
		{"without a master, a restarted one may not lead", []MemberStatus{master(unreachable), replica("b", fit, parked,
			restarted)}, 1,
			"may not lead: " + known.State.NotRecordedReason("b", "run-new")},
		{"unless all were restarted",
			[]MemberStatus{master(restarted, parked, fit, demoted), replica("b", fit, restarted, down), replica("c", fit,
				restarted,
				down)}, 1,
			"replicates from a:6379, and the link is down"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := New(known, tt.answers).Members[tt.of].Note; got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func demoted(a *MemberStatus) { a.Status.Master = false }

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

// Programs go by codes, which stay the same, and not by words.
func TestNew_Reasons(t *testing.T) {
	full := func(a *MemberStatus) {
		a.Status.Refusals = []redis.Refusal{{Code: redis.RefusalClients, Text: "it refuses new clients"}}
	}
	for _, tt := range []struct {
		name    string
		view    cluster.View
		answers []MemberStatus
		want    []string
	}{
		{"healthy", view(), []MemberStatus{master(), replica("b")}, nil},
		{"a link is down", view(), []MemberStatus{master(), replica("b", down)}, []string{linkDown}},
		{"twice the same", view(), []MemberStatus{master(), replica("b", down), replica("c", down)}, []string{linkDown}},
		{"the lock is free, and a member does not answer", view(free), []MemberStatus{master(), replica("b", unreachable)},
			[]string{lockFree, noAnswer}},
		{"a full master", view(), []MemberStatus{master(full), replica("b")}, []string{refusesClients}},
		{"a replica that would refuse writes", view(), []MemberStatus{master(), replica("b", refusing)}, []string{wouldRefuse}},
		{"a check that is late", view(), []MemberStatus{master(), replica("b", check("warning", "parked; waits for a master"))},
			[]string{checkLate}},
		{"a fenced master", view(), []MemberStatus{master(fenced)}, []string{fencedCode}},
		{"the master does not answer", view(), []MemberStatus{master(unreachable), replica("b", down)},
			[]string{masterNoAnswer, noAnswer, linkDown}},
		{"before the first election", view(free, func(v *cluster.View) { v.State.Master = nil }), []MemberStatus{replica("b", parked)},
			[]string{noMasterYet, lockFree, parkedCode}},
	} {
		if d := cmp.Diff(tt.want, New(tt.view, tt.answers).Reasons); d != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, d)
		}
	}
}
