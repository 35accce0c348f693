package cluster

import (
	"testing"
	"time"

	"resec/handlers"
	"resec/handlers/redis"
)

// candidate is a streaming replica. Of equal candidates the one with the lowest id ranks first.
func candidate(id string, change ...func(*Candidate)) Candidate {
	c := Candidate{ID: id, AgentAlive: true, InCatalog: true,
		Status: redis.Status{RunID: "run-" + id, LinkUp: true, Keys: 1, Priority: 100}}
	for _, f := range change {
		f(&c)
	}
	return c
}

func TestAcquireDelay(t *testing.T) {
	incumbent := func(c *Candidate) { c.Master = true }
	agentDead := func(c *Candidate) { c.AgentAlive = false }
	notInCatalog := func(c *Candidate) { c.InCatalog = false }
	loadingRedis := func(c *Candidate) { c.Loading = true }
	refusing := func(c *Candidate) { c.Refused = "its ACL denies REPLICAOF to resec's user" }
	withoutKeys := func(c *Candidate) { c.Keys = 0 }
	versioned := func(v string) func(*Candidate) { return func(c *Candidate) { c.Version = v } }
	hidden := func(c *Candidate) { c.Hidden = "its node is in maintenance" }
	otherRun := func(c *Candidate) { c.RunID = "run-new" }
	s := State{Master: &Master{Peer: handlers.Peer{ID: "a", RunID: "run-a"}}, Members: map[string]MemberRecord{}}
	for _, id := range []string{"a", "b", "c", "d"} {
		s.Members[id] = MemberRecord{RunID: "run-" + id}
	}
	gaveUp := s
	gaveUp.Why = WhyLeaving
	const ms = time.Millisecond
	candidacy := func(id string, s State, cs ...Candidate) Candidacy {
		eligibility := RecordedOnly
		if s.Master == nil {
			eligibility = AnyMember
		}
		return Candidacy{Candidates: cs, State: s, ID: id, Eligibility: eligibility, SlowMemberGrace: 3 * time.Second,
			BootstrapDelay: 2 * time.Second}
	}
	with := func(c Candidacy, change func(*Candidacy)) Candidacy { change(&c); return c }
	for _, tt := range []struct {
		name string
		c    Candidacy
		want time.Duration
		why  string
	}{
		{"rank 0 does not wait", candidacy("b", s, candidate("c"), candidate("b")), 0, ""},
		{"rank 1 waits one turn", candidacy("c", s, candidate("c"), candidate("b")), 250 * ms, "b ranks first"},
		{"at a first election one that clients cannot find waits longer, because a better one may have just started",
			candidacy("a", State{}, candidate("a", hidden), candidate("b")),
			2 * time.Second, "b ranks first"},
		{"at a first election so does one of a newer version", candidacy("a", State{}, candidate("a", versioned("8.0.2")),
			candidate("b", versioned("7.0.15"))), 2 * time.Second, "b ranks first"},
		{"rank 2 waits two turns", candidacy("d", s, candidate("c"), candidate("b"), candidate("d")), 500 * ms, "b ranks first"},
		{"a Redis that loads its data is ineligible", candidacy("b", s, candidate("b", loadingRedis), candidate("c")), -1,
			"redis may not lead: it is loading its data"},
		{"a Redis that does not answer leaves the lock to the others", candidacy("b", s, candidate("c")), MasterReclaimTime,
			"our redis can no longer lead"},
		{"a restarted Redis is ineligible", candidacy("b", s, candidate("b", otherRun), candidate("c")), -1,
			"redis may not lead: it was restarted since it was recorded"},
		{"unless any member may lead",
			with(candidacy("b", s, candidate("b", otherRun)), func(c *Candidacy) { c.Eligibility = AnyMember }), 0, ""},
		{"then rank 1 waits until rank 0 had time to start",
			with(candidacy("b", s, candidate("b", otherRun, withoutKeys), candidate("c", otherRun)),
				func(c *Candidacy) { c.Eligibility = AnyMember }),
			2 * time.Second, "c ranks first"},
		{"an unrecorded member is ineligible", candidacy("x", s, candidate("x", withoutKeys), candidate("c")), -1,
			"redis may not lead: it is not recorded: no master of this cluster has seen it"},
		{"unrelated data are ineligible", candidacy("x", s, candidate("x"), candidate("c")), -1,
			"redis may not lead: its data were never this cluster's"},
		{"the incumbent does not wait", candidacy("a", s, candidate("a", incumbent), candidate("b")), 0, ""},
		{"an incumbent that answers gets time to reacquire the lock", candidacy("b", s, candidate("a", incumbent), candidate("b")),
			3 * time.Second, "the master a answers and may reacquire the lock"},
		{"more time if its Consul agent has left", candidacy("b", s, candidate("a", incumbent, notInCatalog), candidate("b")),
			10 * time.Second,
			"the master a answers, but its consul agent has left"},
		{"none if it released the lock to leave", candidacy("b", gaveUp, candidate("a", incumbent, notInCatalog), candidate("b")), 0,
			"a ranks first"},
		{"every lower rank waits", candidacy("c", s, candidate("a", incumbent), candidate("b"), candidate("c")), 3 * time.Second,
			"the master a answers and may reacquire the lock"},
		{"an incumbent that gave up the lock gets no time",
			candidacy("b", gaveUp, candidate("a", incumbent), candidate("b"), candidate("c")), 0, "a ranks first"},
		{"unless its agent had left and is back",
			with(candidacy("b", gaveUp, candidate("a", incumbent), candidate("b")), func(c *Candidacy) { c.MasterReturned = true }),
			3 * time.Second,
			"the master a answers and may reacquire the lock"},
		{"the other ranks keep their order", candidacy("c", gaveUp, candidate("a", incumbent), candidate("b"), candidate("c")),
			250 * ms, "a ranks first"},
		{"an incumbent whose agent is dead gets no time", candidacy("b", s, candidate("a", incumbent, agentDead), candidate("b")), 0,
			"a ranks first"},
		{"unless Consul settles, when checks prove nothing",
			with(candidacy("b", s, candidate("a", incumbent, agentDead), candidate("b")), func(c *Candidacy) { c.ConsulSettling = true }),
			3 * time.Second, "the master a answers and may reacquire the lock"},
		{"before the first master a master without replicas is no incumbent",
			candidacy("b", State{}, candidate("a", incumbent), candidate("b")), 250 * ms, "a ranks first"},
		{"before the first master an empty Redis waits for members with data", candidacy("b", State{}, candidate("b", withoutKeys)),
			2 * time.Second,
			"our redis is empty; waiting for members with data that may still be starting"},
		{"only for the bootstrap delay",
			with(candidacy("b", State{}, candidate("b", withoutKeys)), func(c *Candidacy) { c.LeaderlessFor = 2 * time.Second }), 0, ""},
		{"a Redis with data does not wait", candidacy("b", State{}, candidate("a", withoutKeys), candidate("b")), 0, ""},
		{"an empty Redis waits while another one is loading",
			with(candidacy("b", State{}, candidate("b", withoutKeys), candidate("a", loadingRedis)),
				func(c *Candidacy) { c.LeaderlessFor = time.Hour }), 500 * ms,
			"our redis is empty and a is still loading its data"},
		{"rank 0 waits for a member that does not answer and may hold newer data",
			with(candidacy("b", s, candidate("b")), func(c *Candidacy) { c.Unanswered = []string{"c"} }), 500 * ms,
			"c does not answer and may hold newer data"},
		{"every lower rank waits",
			with(candidacy("c", s, candidate("c"), candidate("b")), func(c *Candidacy) { c.Unanswered = []string{"d"} }), 500 * ms,
			"d does not answer and may hold newer data"},
		{"only for the grace of a slow member",
			with(candidacy("b", s, candidate("b")), func(c *Candidacy) { c.Unanswered, c.LeaderlessFor = []string{"c"}, 3*time.Second }),
			0, ""},
		{"the incumbent does not wait for it",
			with(candidacy("a", s, candidate("a", incumbent)), func(c *Candidacy) { c.Unanswered = []string{"c"} }), 0, ""},
		{"nor do the ranks below the incumbent",
			with(candidacy("b", gaveUp, candidate("a", incumbent), candidate("b")), func(c *Candidacy) { c.Unanswered = []string{"c"} }),
			0, "a ranks first"},
		{"a Redis that replicates from a server that nothing names is ineligible while that answers",
			with(candidacy("b", State{}, candidate("b")), func(c *Candidacy) { c.Unnamed = "10.0.0.7:6379" }), -1,
			"redis may not lead: redis replicates from 10.0.0.7:6379, which answers and is no member; start resec there, or end this " +
				"with `REPLICAOF NO ONE`, or replace it with `resec failover -to ID -force`"},
		{"while a live agent lists a master that is not under this lock, nobody leads",
			with(candidacy("b", State{}, candidate("b")), func(c *Candidacy) { c.Elsewhere = "m" }), -1,
			"redis may not lead: m is listed as master by a live agent that is not under this lock; the members of one cluster have " +
				"the same CONSUL_LOCK_KEY, and two clusters need two service names"},
		{"if no member may lead, the way out is named", candidacy("b", s, candidate("b", otherRun)), -1,
			"redis may not lead: it was restarted since it was recorded; no member may: `resec failover -dry-run` shows what each " +
				"holds, `resec failover -to b -force` makes this one lead"},
		{"a member that has another id now is named", candidacy("x", s, candidate("x", func(c *Candidate) { c.RunID = "run-b" }, withoutKeys),
			candidate("c")), -1, "redis may not lead: it is not recorded: no master of this cluster has seen it; it is recorded as b: " +
			"set MEMBER_ID back, or `resec failover -to x -force`"},
		{"also a Redis that refuses a command is ineligible", candidacy("b", s, candidate("b", refusing)), -1,
			"redis may not lead: it cannot be made master: its ACL denies REPLICAOF to resec's user"},
		{"it has no rank", candidacy("c", s, candidate("b", refusing), candidate("c")), 0, ""},
		{"unless it is the master, which has to do nothing", candidacy("a", s, candidate("a", incumbent, refusing)), 0, ""},
		{"an empty Redis does not wait once there was a master", candidacy("b", s, candidate("b", withoutKeys)), 0, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			v := tt.c.AcquireDelay()
			got := v.Wait
			if v.Ineligible {
				got = -1
			}
			if got != tt.want || v.Why != tt.why {
				t.Errorf("got %s (%s), want %s (%s)", got, v.Why, tt.want, tt.why)
			}
		})
	}
}

func TestCandidacy_String(t *testing.T) {
	c := Candidacy{State: ledBy("b"),
		Candidates: []Candidate{replica("x"), replica("a", keys(2)), replica("b", loading), replica("c", offset(120))}}
	c.Candidates[1].Position.ReplID2 = "0123456789"
	want := "c 1 keys, l2  @120; a 2 keys, l2 01234567 @100; x 1 keys, l2  @100 " +
		"it is not recorded: no master of this cluster has seen it; " +
		"b 1 keys, l2  @100 it is loading its data"
	if got := c.String(); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestAcquireDecision_Retry(t *testing.T) {
	s := ledBy("z")
	wait := Candidacy{ID: "b", State: s, Candidates: []Candidate{replica("b")}, Unanswered: []string{"c"},
		SlowMemberGrace: time.Second, LeaderlessFor: 900 * time.Millisecond}
	if d := wait.AcquireDelay(); !d.Retry || d.Ineligible || d.Wait != 100*time.Millisecond {
		t.Errorf("for a member that does not answer: %+v", d)
	}
	wait.Unanswered = nil
	if d := wait.AcquireDelay(); d != (AcquireDecision{}) {
		t.Errorf("without waiting: %+v", d)
	}
	wait.Candidates = []Candidate{replica("b", loading)}
	if d := wait.AcquireDelay(); !d.Retry || !d.Ineligible || d.Wait != SurveyInterval {
		t.Errorf("ineligible: %+v", d)
	}
	first := Candidacy{ID: "b", Eligibility: AnyMember, Candidates: []Candidate{replica("b", empty), replica("a", loading)}}
	if d := first.AcquireDelay(); !d.Retry || d.Ineligible {
		t.Errorf("for data that are being loaded: %+v", d)
	}
	first.Candidates, first.BootstrapDelay = first.Candidates[:1], time.Second
	if d := first.AcquireDelay(); d.Retry || d.Wait != time.Second {
		t.Errorf("for members that may still be starting: %+v", d)
	}
}

func TestAgentReturned(t *testing.T) {
	leaving := func(k *Snapshot) { k.View.State.Why = WhyLeaving }
	for _, tt := range []struct {
		name string
		k    Snapshot
		want bool
	}{
		{"it left and has a session", situation(leaving), true},
		{"it did not leave", situation(), false},
		{"it has no session", situation(leaving, func(k *Snapshot) { k.View.LiveAgents = nil }), false},
		{"no master", situation(noState, leaving), false},
	} {
		if got := AgentReturned(tt.k.View); got != tt.want {
			t.Errorf("%s: got %t", tt.name, got)
		}
	}
}

// With BOOTSTRAP_EXPECT the first election begins as soon as so many members are there, and never with fewer.
func TestAcquireDelay_BootstrapExpect(t *testing.T) {
	loading := func(c *Candidate) { c.Loading = true }
	noAgent := func(c *Candidate) { c.AgentAlive = false }
	empty := func(c *Candidate) { c.Keys = 0 }
	serving := func(c *Candidate) { c.Master, c.Replicas = true, []redis.Replica{{Addr: "c:6379", Online: true}} }
	led := State{Master: &Master{Peer: handlers.Peer{ID: "a", RunID: "run-a"}}, Members: map[string]MemberRecord{"b": {RunID: "run-b"}}}
	for _, tt := range []struct {
		name   string
		expect int
		s      State
		cs     []Candidate
		why    string // empty: it does not wait
	}{
		{"too few", 3, State{}, []Candidate{candidate("b", empty), candidate("c", empty)},
			"the first election waits for 3 members (BOOTSTRAP_EXPECT); 2 answer: b, c"},
		{"too few, with data", 2, State{}, []Candidate{candidate("b")},
			"the first election waits for 2 members (BOOTSTRAP_EXPECT); 1 answer: b"},
		{"one without an agent does not count", 2, State{}, []Candidate{candidate("b", empty), candidate("c", empty, noAgent)},
			"the first election waits for 2 members (BOOTSTRAP_EXPECT); 1 answer: b"},
		{"all are there", 2, State{}, []Candidate{candidate("b", empty), candidate("c", empty)}, ""},
		{"one still loads its data", 2, State{}, []Candidate{candidate("b", empty), candidate("c", loading)},
			"our redis is empty and c is still loading its data"},
		{"our redis serves replicas: consul has lost the state", 3, State{}, []Candidate{candidate("b", serving)}, ""},
		{"a master was published before", 3, led, []Candidate{candidate("b")}, ""},
		{"not set: an empty redis waits for a time", 0, State{}, []Candidate{candidate("b", empty)},
			"our redis is empty; waiting for members with data that may still be starting"},
	} {
		e := AnyMember
		if tt.s.Master != nil {
			e = RecordedOnly
		}
		d := Candidacy{Candidates: tt.cs, State: tt.s, ID: "b", Eligibility: e, BootstrapDelay: time.Second, BootstrapExpect: tt.expect}.
			AcquireDelay()
		if d.Why != tt.why || d.First != (tt.why != "") || (d.Wait > 0) != (tt.why != "") {
			t.Errorf("%s: got %+v, want %q", tt.name, d, tt.why)
		}
	}
}
