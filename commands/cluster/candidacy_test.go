package cluster

import (
	"testing"
	"time"

	"resec/handlers"
	"resec/handlers/redis"
)

// member is a linked replica as a candidate; of equal ones the first id ranks first.
func candidate(id string, change ...func(*Candidate)) Candidate {
	c := Candidate{ID: id, AgentAlive: true, InCatalog: true, Status: redis.Status{RunID: "run-" + id, LinkUp: true, Keys: 1, Priority: 100}}
	for _, f := range change {
		f(&c)
	}
	return c
}

func TestPatience(t *testing.T) {
	incumbent := func(c *Candidate) { c.Master = true }
	untended := func(c *Candidate) { c.AgentAlive = false }
	vanished := func(c *Candidate) { c.InCatalog = false }
	unfit := func(c *Candidate) { c.Loading = true }
	keyless := func(c *Candidate) { c.Keys = 0 }
	reborn := func(c *Candidate) { c.RunID = "run-new" }
	s := State{Master: &Master{Peer: handlers.Peer{ID: "a", RunID: "run-a"}}, Members: map[string]MemberRecord{}}
	for _, id := range []string{"a", "b", "c", "d"} {
		s.Members[id] = MemberRecord{RunID: "run-" + id}
	}
	gaveUp := s
	gaveUp.Why = WhyLeaving
	const ms = time.Millisecond
	claims := func(id string, s State, cs ...Candidate) Candidacy {
		binds := RecordedOnly
		if s.Master == nil {
			binds = AnyMember
		}
		return Candidacy{Candidates: cs, State: s, ID: id, Eligibility: binds, SlowMemberGrace: 3 * time.Second, BootstrapDelay: 2 * time.Second}
	}
	with := func(c Candidacy, change func(*Candidacy)) Candidacy { change(&c); return c }
	for _, tt := range []struct {
		name string
		c    Candidacy
		want time.Duration
		why  string
	}{
		{"who ranks first does not wait", claims("b", s, candidate("c"), candidate("b")), 0, ""},
		{"who ranks second waits for one turn", claims("c", s, candidate("c"), candidate("b")), 250 * ms, "b ranks first"},
		{"who ranks third waits for two", claims("d", s, candidate("c"), candidate("b"), candidate("d")), 500 * ms, "b ranks first"},
		{"who has become unfit takes nothing", claims("b", s, candidate("b", unfit), candidate("c")), -1, "redis may not lead: it is loading its data"},
		{"who does not answer itself leaves it to the others", claims("b", s, candidate("c")), MasterReclaimTime, "our redis can no longer lead"},
		{"who was restarted takes nothing", claims("b", s, candidate("b", reborn), candidate("c")), -1, "redis may not lead: it was restarted since it was recorded"},
		{"unless the record binds nobody", with(claims("b", s, candidate("b", reborn)), func(c *Candidacy) { c.Eligibility = AnyMember }), 0, ""},
		{"who then ranks second leaves the first the time to be ready", with(claims("b", s, candidate("b", reborn, keyless), candidate("c", reborn)), func(c *Candidacy) { c.Eligibility = AnyMember }),
			2 * time.Second, "c ranks first"},
		{"who is not recorded takes nothing", claims("x", s, candidate("x", keyless), candidate("c")), -1, "redis may not lead: it is not recorded: no master of this cluster has seen it"},
		{"nor does a stranger", claims("x", s, candidate("x"), candidate("c")), -1, "redis may not lead: its data were never this cluster's"},
		{"the incumbent does not wait", claims("a", s, candidate("a", incumbent), candidate("b")), 0, ""},
		{"an incumbent that answers is left time", claims("b", s, candidate("a", incumbent), candidate("b")), 3 * time.Second, "the master a answers and may reacquire the lock"},
		{"more of it where its Consul agent has left", claims("b", s, candidate("a", incumbent, vanished), candidate("b")), 10 * time.Second,
			"the master a answers, but its consul agent has left"},
		{"not where it said that it leaves", claims("b", gaveUp, candidate("a", incumbent, vanished), candidate("b")), 0, "a ranks first"},
		{"whoever ranks below it", claims("c", s, candidate("a", incumbent), candidate("b"), candidate("c")), 3 * time.Second, "the master a answers and may reacquire the lock"},
		{"an incumbent that gave up the lock is not waited for", claims("b", gaveUp, candidate("a", incumbent), candidate("b"), candidate("c")), 0, "a ranks first"},
		{"unless its agent had left, and is there again", with(claims("b", gaveUp, candidate("a", incumbent), candidate("b")), func(c *Candidacy) { c.MasterReturned = true }), 3 * time.Second,
			"the master a answers and may reacquire the lock"},
		{"and the others keep their order", claims("c", gaveUp, candidate("a", incumbent), candidate("b"), candidate("c")), 250 * ms, "a ranks first"},
		{"nor one whose agent is dead", claims("b", s, candidate("a", incumbent, untended), candidate("b")), 0, "a ranks first"},
		{"except while Consul settles, when checks say nothing", with(claims("b", s, candidate("a", incumbent, untended), candidate("b")), func(c *Candidacy) { c.ConsulSettling = true }),
			3 * time.Second, "the master a answers and may reacquire the lock"},
		{"before anybody was published a master is no incumbent", claims("b", State{}, candidate("a", incumbent), candidate("b")), 250 * ms, "a ranks first"},
		{"before the first master an empty one leaves time for one with data to come", claims("b", State{}, candidate("b", keyless)), 2 * time.Second,
			"our redis is empty; waiting for members with data that may still be starting"},
		{"but not for ever", with(claims("b", State{}, candidate("b", keyless)), func(c *Candidacy) { c.LeaderlessFor = 2 * time.Second }), 0, ""},
		{"one with data begins at once", claims("b", State{}, candidate("a", keyless), candidate("b")), 0, ""},
		{"and while one is loading", with(claims("b", State{}, candidate("b", keyless), candidate("a", unfit)), func(c *Candidacy) { c.LeaderlessFor = time.Hour }), 500 * ms,
			"our redis is empty and a is still loading its data"},
		{"who ranks first looks again while one that may be fresher is silent", with(claims("b", s, candidate("b")), func(c *Candidacy) { c.Unanswered = []string{"c"} }), 500 * ms,
			"c does not answer and may hold newer data"},
		{"whoever ranks below it", with(claims("c", s, candidate("c"), candidate("b")), func(c *Candidacy) { c.Unanswered = []string{"d"} }), 500 * ms, "d does not answer and may hold newer data"},
		{"for as long as its agent needs to see that", with(claims("b", s, candidate("b")), func(c *Candidacy) { c.Unanswered, c.LeaderlessFor = []string{"c"}, 3*time.Second }), 0, ""},
		{"the incumbent need not", with(claims("a", s, candidate("a", incumbent)), func(c *Candidacy) { c.Unanswered = []string{"c"} }), 0, ""},
		{"nor those below it", with(claims("b", gaveUp, candidate("a", incumbent), candidate("b")), func(c *Candidacy) { c.Unanswered = []string{"c"} }), 0, "a ranks first"},
		{"an empty one does not wait in a cluster that was begun", claims("b", s, candidate("b", keyless)), 0, ""},
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
