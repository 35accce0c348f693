package agent

import (
	"errors"
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"resec/commands/catalog"
	"resec/commands/cluster"
	"resec/handlers"
	"resec/handlers/redis"
)

// reigning is what "me" knows as the master that was published at index 10.
func reigning(change ...func(*snapshot)) snapshot {
	return situation(append([]func(*snapshot){ours, own, published}, change...)...)
}

func TestOver(t *testing.T) {
	since := time.Now()
	demoted := func(at time.Time) func(*snapshot) {
		return func(k *snapshot) { k.health.At, k.health.Status.Master, k.health.Status.MasterAddr = at, false, "b:1" }
	}
	for _, tt := range []struct {
		name string
		k    snapshot
		over bool
		want endReason
	}{
		{"not while the lock is ours and Redis the one that was promoted", reigning(), false, endReason{}},
		{"not by a view older than the reign", reigning(free, func(k *snapshot) { k.view.Index = 9 }), false, endReason{}},
		{"not by what a view older than the reign says of another", reigning(func(k *snapshot) { k.view.Index, k.view.Session, k.view.Holder = 9, "a's", "a" }), false, endReason{}},
		{"not while Consul is away", reigning(func(k *snapshot) { k.view.Index = 0 }), false, endReason{}},
		{"not by a fence", reigning(fenced), false, endReason{}},
		{"not by a look at Redis that is older than the reign", reigning(demoted(since.Add(-1))), false, endReason{}},
		{"when the state was deleted or changed by hand", reigning(unpublished), true, endReason{text: "the lock or the state does not name us any more: somebody has changed it"}},
		{"when Redis was made a replica by hand", reigning(demoted(since.Add(1))), true, endReason{release: cluster.WhyUnhealthy, text: "redis was made a replica of b:1"}},
		{"when its run was changed by hand", reigning(func(k *snapshot) { k.view.State.Master.RunID = "x" }), true, endReason{text: "the lock or the state does not name us any more: somebody has changed it"}},
		{"when the lock is free", reigning(free, func(k *snapshot) { k.view.Index = 11 }), true, endReason{text: "the lock is lost, and free"}},
		{"when the lock is another's", reigning(func(k *snapshot) { k.view.Index, k.view.Session, k.view.Holder = 11, "a's", "a" }), true, endReason{text: "the lock is held by a"}},
		{"when an operator wants another, whose agent lives", reigning(asked("a")), true, endReason{text: "an operator wants a", keepLock: true}},
		{"when an operator wants us to lead, whatever the others hold", reigning(asked("me")), true, endReason{text: "an operator wants me", keepLock: true}},
		{"not for one whose agent is dead", reigning(asked("gone")), false, endReason{}},
		{"not for a plan that was not accepted", reigning(asked("a"), func(k *snapshot) { k.view.Request.Planned = true }), false, endReason{}},
		{"when a plan was accepted", reigning(asked("a"), func(k *snapshot) { k.view.Request.Planned, k.view.Request.Accepted = true, true }), true, endReason{text: "an operator wants a", keepLock: true}},
		{"not by what becomes of Redis while the cluster is paused", reigning(paused, func(k *snapshot) { k.health.Status.RunID = "run-new" }), false, endReason{}},
		{"not by a request while the cluster is paused", reigning(paused, asked("a")), false, endReason{}},
		{"when the lock is lost while the cluster is paused", reigning(paused, free, func(k *snapshot) { k.view.Index = 11 }), true, endReason{text: "the lock is lost, and free"}},
		{"when Redis is gone", reigning(func(k *snapshot) { k.health.Err = fmt.Errorf("dial: %w", syscall.ECONNREFUSED) }), true, endReason{release: cluster.WhyDead, text: "redis is gone"}},
		{"when Redis does not answer", reigning(ill), true, endReason{release: cluster.WhyFrozen, text: "redis is frozen: it does not answer"}},
		{"when Redis is unusable", reigning(func(k *snapshot) { k.health.Err = redis.ErrLoading }), true,
			endReason{release: cluster.WhyUnhealthy, text: "redis is unusable: redis is loading its data set"}},
		{"when Redis was restarted", reigning(func(k *snapshot) { k.health.Status.RunID = "run-new" }), true, endReason{release: cluster.WhyDead, text: "redis was restarted: it is a new one", parkRedis: true}},
		{"a lost lock is not given back, whatever else is wrong", reigning(free, ill, func(k *snapshot) { k.view.Index = 11 }), true, endReason{text: "the lock is lost, and free"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, over := termEnded(tt.k, leaderTerm{id: "me", session: "mine", run: "run-me", index: 10, term: 5, since: since})
			if got != tt.want || over != tt.over {
				t.Errorf("got %+v, %t; want %+v, %t", got, over, tt.want, tt.over)
			}
		})
	}
}

func TestResumes(t *testing.T) {
	adopted := func(k *snapshot) { k.adopted = "mine" }
	for _, tt := range []struct {
		name string
		k    snapshot
		want bool
	}{
		{"the predecessor's session over the published master", reigning(adopted), true},
		{"not a session of our own", reigning(), false},
		{"not where another is published", situation(ours, own, adopted), false},
		{"not where nobody is", reigning(adopted, unpublished), false},
		{"not after Redis was restarted", reigning(adopted, func(k *snapshot) { k.health.Status.RunID = "run-new" }), false},
		{"not over a replica", reigning(adopted, func(k *snapshot) { k.health.Status.Master = false }), false},
		{"not after it was given up once", reigning(adopted, func(k *snapshot) { k.view.State.Why = cluster.WhyUnhealthy }), false},
		{"not where an operator wants something of us", reigning(adopted, asked("me")), false},
		{"not over a master that is fenced", reigning(adopted, fenced), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := resumesTerm(tt.k, "me"); got != tt.want {
				t.Errorf("got %t, want %t", got, tt.want)
			}
		})
	}
}

func TestEntry(t *testing.T) {
	refused := func(k *snapshot) { k.reason = "it is empty" }
	for _, tt := range []struct {
		name   string
		k      snapshot
		reign  uint64
		role   catalog.Role
		status string
		output string
		term   string
	}{
		{"a master that was promoted is passing, under its own term", reigning(), 5, catalog.Master, "passing", "master, term 5", "5"},
		{"one whose lock was lost is so still", reigning(free, func(k *snapshot) { k.hasLed = true }), 0, catalog.Master, "passing", "master, term 5, without its lock", "5"},
		{"after a start it waits for the lock: another may be about to have it", reigning(free), 0, catalog.Replica, "warning", "master on its own; waits for an election", "5"},
		{"a linked replica is passing, under the published term", situation(), 0, catalog.Replica, "passing", "replica of 10.0.0.1:6379", "4"},
		{"before the first term it is 0", situation(unpublished), 0, catalog.Replica, "passing", "replica of 10.0.0.1:6379", "0"},
		{"a replica whose link is down is a warning", situation(func(k *snapshot) { k.health.Status.LinkUp = false }), 0, catalog.Replica, "warning", "the link to 10.0.0.1:6379 is down", "4"},
		{"so is one that is syncing", situation(syncing), 0, catalog.Replica, "warning", "syncing from 10.0.0.1:6379", "4"},
		{"so is one that is parked", situation(parked), 0, catalog.Replica, "warning", "parked; waits for a master", "4"},
		{"so is a master that nobody elected", situation(own), 0, catalog.Replica, "warning", "master on its own; waits for an election", "4"},
		{"so is one that may not follow, and it says why", situation(parked, refused), 0, catalog.Replica, "warning", "it is empty", "4"},
		{"a refusal is over once it follows the master after all", situation(refused), 0, catalog.Replica, "passing", "replica of 10.0.0.1:6379", "4"},
		{"one that still follows another says why", situation(refused, func(k *snapshot) { k.health.Status.MasterAddr = "10.0.0.2:6379" }), 0, catalog.Replica, "warning", "it is empty", "4"},
		{"a Redis that does not let us in keeps its place", reigning(func(k *snapshot) { k.health.AccessErr = errors.New("WRONGPASS") }), 5, catalog.Master, "passing",
			"master, term 5; redis does not let resec in", "5"},
		{"an unusable Redis is critical, whatever else it is", situation(ill, parked, refused), 0, catalog.Replica, "critical", "redis is unusable: it does not answer", "4"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			want := catalog.Entry{Role: tt.role, Status: tt.status, Output: tt.output, Meta: map[string]string{"term": tt.term, "version": "7.0.15"}}
			if tt.k.reason == tt.output {
				want.Meta["why"] = tt.output
			}
			if d := cmp.Diff(want, serviceEntry(tt.k, tt.reign, "me")); d != "" {
				t.Error(d)
			}
		})
	}
}

// member is a linked replica as a candidate; of equal ones the first id ranks first.
func member(id string, change ...func(*cluster.Candidate)) cluster.Candidate {
	c := cluster.Candidate{ID: id, AgentAlive: true, InCatalog: true, Status: redis.Status{RunID: "run-" + id, LinkUp: true, Keys: 1, Priority: 100}}
	for _, f := range change {
		f(&c)
	}
	return c
}

func TestPatience(t *testing.T) {
	incumbent := func(c *cluster.Candidate) { c.Master = true }
	untended := func(c *cluster.Candidate) { c.AgentAlive = false }
	vanished := func(c *cluster.Candidate) { c.InCatalog = false }
	unfit := func(c *cluster.Candidate) { c.Loading = true }
	keyless := func(c *cluster.Candidate) { c.Keys = 0 }
	reborn := func(c *cluster.Candidate) { c.RunID = "run-new" }
	s := cluster.State{Master: &cluster.Master{Peer: handlers.Peer{ID: "a", RunID: "run-a"}}, Members: map[string]cluster.MemberRecord{}}
	for _, id := range []string{"a", "b", "c", "d"} {
		s.Members[id] = cluster.MemberRecord{RunID: "run-" + id}
	}
	gaveUp := s
	gaveUp.Why = cluster.WhyLeaving
	const ms = time.Millisecond
	claims := func(id string, s cluster.State, cs ...cluster.Candidate) candidacy {
		binds := cluster.RecordedOnly
		if s.Master == nil {
			binds = cluster.AnyMember
		}
		return candidacy{candidates: cs, state: s, id: id, eligibility: binds, slowMemberGrace: 3 * time.Second, bootstrapDelay: 2 * time.Second}
	}
	with := func(c candidacy, change func(*candidacy)) candidacy { change(&c); return c }
	for _, tt := range []struct {
		name string
		c    candidacy
		want time.Duration
		why  string
	}{
		{"who ranks first does not wait", claims("b", s, member("c"), member("b")), 0, ""},
		{"who ranks second waits for one turn", claims("c", s, member("c"), member("b")), 250 * ms, "b ranks first"},
		{"who ranks third waits for two", claims("d", s, member("c"), member("b"), member("d")), 500 * ms, "b ranks first"},
		{"who has become unfit takes nothing", claims("b", s, member("b", unfit), member("c")), -1, "redis may not lead: it is loading its data"},
		{"who does not answer itself leaves it to the others", claims("b", s, member("c")), masterReclaimTime, "our redis has just become unfit"},
		{"who was restarted takes nothing", claims("b", s, member("b", reborn), member("c")), -1, "redis may not lead: it was restarted since it was recorded"},
		{"unless the record binds nobody", with(claims("b", s, member("b", reborn)), func(c *candidacy) { c.eligibility = cluster.AnyMember }), 0, ""},
		{"who then ranks second leaves the first the time to be ready", with(claims("b", s, member("b", reborn, keyless), member("c", reborn)), func(c *candidacy) { c.eligibility = cluster.AnyMember }),
			2 * time.Second, "c ranks first"},
		{"who is not recorded takes nothing", claims("x", s, member("x", keyless), member("c")), -1, "redis may not lead: it is not recorded: no master of this cluster has seen it"},
		{"nor does a stranger", claims("x", s, member("x"), member("c")), -1, "redis may not lead: its data were never this cluster's"},
		{"the incumbent does not wait", claims("a", s, member("a", incumbent), member("b")), 0, ""},
		{"an incumbent that answers is left time", claims("b", s, member("a", incumbent), member("b")), 3 * time.Second, "the master a answers"},
		{"more of it where its Consul agent has left", claims("b", s, member("a", incumbent, vanished), member("b")), 10 * time.Second,
			"the master a answers, and its consul agent has left"},
		{"not where it said that it leaves", claims("b", gaveUp, member("a", incumbent, vanished), member("b")), 0, "a ranks first"},
		{"whoever ranks below it", claims("c", s, member("a", incumbent), member("b"), member("c")), 3 * time.Second, "the master a answers"},
		{"an incumbent that gave up the lock is not waited for", claims("b", gaveUp, member("a", incumbent), member("b"), member("c")), 0, "a ranks first"},
		{"unless its agent had left, and is there again", with(claims("b", gaveUp, member("a", incumbent), member("b")), func(c *candidacy) { c.masterReturned = true }), 3 * time.Second,
			"the master a answers"},
		{"and the others keep their order", claims("c", gaveUp, member("a", incumbent), member("b"), member("c")), 250 * ms, "a ranks first"},
		{"nor one whose agent is dead", claims("b", s, member("a", incumbent, untended), member("b")), 0, "a ranks first"},
		{"except while Consul settles, when checks say nothing", with(claims("b", s, member("a", incumbent, untended), member("b")), func(c *candidacy) { c.consulSettling = true }),
			3 * time.Second, "the master a answers"},
		{"before anybody was published a master is no incumbent", claims("b", cluster.State{}, member("a", incumbent), member("b")), 250 * ms, "a ranks first"},
		{"before the first master an empty one leaves time for one with data to come", claims("b", cluster.State{}, member("b", keyless)), 2 * time.Second,
			"our redis is empty, and another that has data may be about to come"},
		{"but not for ever", with(claims("b", cluster.State{}, member("b", keyless)), func(c *candidacy) { c.leaderlessFor = 2 * time.Second }), 0, ""},
		{"one with data begins at once", claims("b", cluster.State{}, member("a", keyless), member("b")), 0, ""},
		{"and while one is loading", with(claims("b", cluster.State{}, member("b", keyless), member("a", unfit)), func(c *candidacy) { c.leaderlessFor = time.Hour }), 500 * ms,
			"our redis is empty, and a is loading"},
		{"who ranks first looks again while one that may be fresher is silent", with(claims("b", s, member("b")), func(c *candidacy) { c.unanswered = []string{"c"} }), 500 * ms,
			"c does not answer, and may be fresher"},
		{"whoever ranks below it", with(claims("c", s, member("c"), member("b")), func(c *candidacy) { c.unanswered = []string{"d"} }), 500 * ms, "d does not answer, and may be fresher"},
		{"for as long as its agent needs to see that", with(claims("b", s, member("b")), func(c *candidacy) { c.unanswered, c.leaderlessFor = []string{"c"}, 3*time.Second }), 0, ""},
		{"the incumbent need not", with(claims("a", s, member("a", incumbent)), func(c *candidacy) { c.unanswered = []string{"c"} }), 0, ""},
		{"nor those below it", with(claims("b", gaveUp, member("a", incumbent), member("b")), func(c *candidacy) { c.unanswered = []string{"c"} }), 0, "a ranks first"},
		{"an empty one does not wait in a cluster that was begun", claims("b", s, member("b", keyless)), 0, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			v := tt.c.acquireDelay()
			got := v.wait
			if v.ineligible {
				got = -1
			}
			if got != tt.want || v.why != tt.why {
				t.Errorf("got %s (%s), want %s (%s)", got, v.why, tt.want, tt.why)
			}
		})
	}
}
