package cluster

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"resec/handlers/redis"
)

const (
	// Stagger is the time between the turns of two ranks. One call to Consul fits into it.
	Stagger = 250 * time.Millisecond
	// MasterReclaimTime is how long the election waits for a master that answers to reacquire its lock. Its agent needs two calls
	// (session, lock), each repeated after at most a second while Consul settles.
	MasterReclaimTime = 3 * time.Second
	// ConsulRestartTime is how long the election waits for a master that is missing from the catalogue: its Consul agent left and
	// deregistered its node. Measured: 3.2 s until such an agent has ended, and as long until it is back and synced.
	ConsulRestartTime = 10 * time.Second
	// SurveyInterval is the pause before the members are asked again, because what the election waits for causes no event.
	SurveyInterval = 500 * time.Millisecond
)

// Candidacy is what a member knows about the election when the lock is free.
type Candidacy struct {
	Candidates     []Candidate
	Unanswered     []string // members that may hold newer data and did not answer; a master that may refuse only this host
	Unnamed        string   // address of the server that our Redis replicates from, if it answers and nothing names it; empty: none
	Elsewhere      string   // a master that a live agent lists, and that is not under this lock; empty: none
	State          State
	ID             string // the member itself
	Eligibility    Eligibility
	MasterReturned bool // AgentReturned: the published master's agent had left and is back
	ConsulSettling bool // Consul has just become available, so checks do not show whether agents are alive

	LeaderlessFor   time.Duration // how long the lock has been free
	SlowMemberGrace time.Duration // how long a member that does not answer, and whose agent is alive, is waited for
	BootstrapDelay  time.Duration // how long an empty Redis waits before it founds a cluster
	BootstrapExpect int           // with how many members a cluster is founded, never with fewer; 0: with any number
}

// AcquireDecision is how long a member waits before it acquires a free lock.
type AcquireDecision struct {
	Wait       time.Duration
	Ineligible bool   // it may not acquire the lock with these candidates
	Retry      bool   // it has to ask the members again after the wait
	Why        string // why it waits; empty: it does not
	First      bool   // it waits before the first election, with or without Retry
}

// String lists the candidates with their data, the best first, then the ineligible ones with the reason.
func (c Candidacy) String() string {
	ranked := Rank(c.Candidates, c.State, c.Eligibility)
	var out []string
	for _, o := range ranked {
		out = append(out, o.describe())
	}
	for _, o := range c.Candidates {
		if why := o.IneligibleReason(c.State, c.Eligibility); why != "" {
			out = append(out, o.describe()+" "+why)
		}
	}
	return strings.Join(out, "; ")
}

func (c Candidate) describe() string {
	text := fmt.Sprintf("%s %d keys, %.8s %.8s @%d", c.ID, c.Keys, c.Position.ReplID, c.Position.ReplID2, c.Position.Offset)
	if why := c.Drawback(); why != "" {
		text += " (" + why + ")"
	}
	return text
}

// AcquireDelay returns how long the member waits before it acquires the free lock. The first rule that applies decides:
//
//   - Its Redis did not answer: leave the lock to the other members for MasterReclaimTime.
//   - It is ineligible: ask the members again later.
//   - It replicates from a server that answers, or denies access, and that nothing of this cluster names: that is somebody
//     else's.
//   - A live agent lists a master that is not under this lock: one of the two has a wrong lock key.
//   - No master was ever published: wait for as many members as are expected, if that is set.
//   - Otherwise, if its Redis is empty then: wait for members with data.
//   - A member that may hold newer data does not answer: wait for it, unless the incumbent answers.
//   - It ranks first: do not wait.
//   - The incumbent answers and may reacquire its lock: wait for it.
//   - Otherwise wait one turn for each better rank. An incumbent that gave up the lock has no turn.
func (c Candidacy) AcquireDelay() AcquireDecision {
	own, answered := find(c.Candidates, c.ID)
	if !answered {
		return AcquireDecision{Wait: MasterReclaimTime, Why: "our redis can no longer lead"}
	}
	if why := own.IneligibleReason(c.State, c.Eligibility); why != "" {
		why = "redis may not lead: " + why + c.wayOut(own, why)
		return AcquireDecision{Wait: SurveyInterval, Ineligible: true, Retry: true, Why: why}
	}
	if c.Unnamed != "" {
		why := "redis may not lead: " + UnnamedReason(c.Unnamed)
		return AcquireDecision{Wait: SurveyInterval, Ineligible: true, Retry: true, Why: why}
	}
	if c.Elsewhere != "" {
		why := "redis may not lead: " + c.Elsewhere + " is listed as master by a live agent that is not under this lock; " +
			"the members of one cluster have the same CONSUL_LOCK_KEY, and two clusters need two service names"
		return AcquireDecision{Wait: SurveyInterval, Ineligible: true, Retry: true, Why: why}
	}
	if d := c.firstElectionDelay(own); d.Wait > 0 {
		return d
	}
	ranked := Rank(c.Candidates, c.State, c.Eligibility)
	rank := slices.IndexFunc(ranked, func(o Candidate) bool { return o.ID == c.ID })
	best := ranked[0]
	if d := c.unansweredDelay(best); d.Wait > 0 {
		return d
	}
	if rank == 0 {
		return AcquireDecision{}
	}
	if best.Incumbent(c.State) {
		if d := c.incumbentDelay(best); d.Wait > 0 {
			return d
		}
		rank--
	}
	return AcquireDecision{Wait: time.Duration(rank) * c.turn(own, best), Why: best.ID + " ranks first"}
}

// wayOut names what makes a member lead, if nobody may by what the members hold; otherwise it is empty. The argument why says why
// our Redis may not.
func (c Candidacy) wayOut(own Candidate, why string) string {
	for id, r := range c.State.Members {
		if id != own.ID && r.RunID == own.RunID {
			return fmt.Sprintf("; it is recorded as %s: set MEMBER_ID back, or `resec failover -to %s -force`", id, own.ID)
		}
	}
	barred := own.UnusableReason() != "" || own.Refused != "" || strings.Contains(why, "failover -to")
	if barred || len(Rank(c.Candidates, c.State, c.Eligibility)) > 0 {
		return ""
	}
	return fmt.Sprintf("; no member may: `resec failover -dry-run` shows what each holds, `resec failover -to %s -force` makes "+
		"this one lead", own.ID)
}

// find returns the candidate with an id.
func find(candidates []Candidate, id string) (Candidate, bool) {
	for _, c := range candidates {
		if c.ID == id {
			return c, true
		}
	}
	return Candidate{}, false
}

// firstElectionDelay returns how long the first election waits; 0 if there was a master.
func (c Candidacy) firstElectionDelay(own Candidate) AcquireDecision {
	if c.State.Master != nil {
		return AcquireDecision{}
	}
	d := c.bootstrapDelay(own)
	found := own.Incumbent(c.State) // a master that serves replicas: Consul has lost its data
	if c.BootstrapExpect > 0 && !d.Retry && !found {
		d = c.expectDelay()
	}
	d.First = d.Wait > 0
	return d
}

// expectDelay waits for as many members as are expected: a Redis that answers, and whose agent is alive.
func (c Candidacy) expectDelay() AcquireDecision {
	var there []string
	for _, o := range c.Candidates {
		if o.AgentAlive {
			there = append(there, o.ID)
		}
	}
	if len(there) >= c.BootstrapExpect {
		return AcquireDecision{}
	}
	slices.Sort(there)
	return AcquireDecision{Wait: SurveyInterval, Retry: true, Why: fmt.Sprintf("the first election waits for %d members "+
		"(BOOTSTRAP_EXPECT); %d answer: %s", c.BootstrapExpect, len(there), strings.Join(there, ", "))}
}

// bootstrapDelay returns how long an empty Redis waits for members with data before it founds a cluster. It waits until no
// candidate is loading, and for BootstrapDelay, because an agent that was started at the same time may not be ready yet.
func (c Candidacy) bootstrapDelay(own Candidate) AcquireDecision {
	if own.Keys > 0 {
		return AcquireDecision{}
	}
	for _, o := range c.Candidates {
		if o.Loading {
			return AcquireDecision{Wait: SurveyInterval, Retry: true, Why: "our redis is empty and " + o.ID + " is still loading its data"}
		}
	}
	return AcquireDecision{Wait: max(0, c.BootstrapDelay-c.LeaderlessFor),
		Why: "our redis is empty; waiting for members with data that may still be starting"}
}

// unansweredDelay returns how long to wait for a member that may hold newer data and does not answer, at most until
// SlowMemberGrace is over. The incumbent is never delayed. The rank does not matter: a holder of the lock would wait as well.
func (c Candidacy) unansweredDelay(best Candidate) AcquireDecision {
	if best.Incumbent(c.State) || len(c.Unanswered) == 0 {
		return AcquireDecision{}
	}
	return AcquireDecision{Wait: max(0, min(SurveyInterval, c.SlowMemberGrace-c.LeaderlessFor)), Retry: true,
		Why: c.Unanswered[0] + " does not answer and may hold newer data"}
}

// incumbentDelay returns how long an incumbent that answers is given to reacquire its lock; 0 if it gave the lock up or has no
// agent that could reacquire it.
func (c Candidacy) incumbentDelay(master Candidate) AcquireDecision {
	gaveUp := c.State.Why != ""
	if c.State.Master != nil && !gaveUp && !master.InCatalog {
		return AcquireDecision{Wait: ConsulRestartTime, Why: "the master " + master.ID + " answers, but its consul agent has left"}
	}
	agentAlive := master.AgentAlive || c.ConsulSettling
	if agentAlive && (!gaveUp || c.MasterReturned) {
		return AcquireDecision{Wait: MasterReclaimTime, Why: "the master " + master.ID + " answers and may reacquire the lock"}
	}
	return AcquireDecision{}
}

// turn returns the time between two ranks. After a restart of all members an agent needs BootstrapDelay until it has a session.
// So does one that has just started, at a first election: a member that clients could not write to, or whose data the older ones
// could not read, leaves it to a better one.
func (c Candidacy) turn(own, best Candidate) time.Duration {
	restarted := c.Eligibility != RecordedOnly && c.State.Master != nil
	newer := redis.CompareVersions(own.Version, best.Version) > 0
	if restarted || c.State.Master == nil && (newer || own.UnservedReason() != "") {
		return c.BootstrapDelay
	}
	return Stagger
}

// AgentReturned reports whether the published master's agent said that it leaves and has a session: it is back, or has not
// ended yet.
func AgentReturned(v View) bool {
	m := v.State.Master
	return m != nil && v.State.Why == WhyLeaving && v.LiveAgents[m.ID].Session != ""
}
