package cluster

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Candidacy is what a member knows when the lock is free.
type Candidacy struct {
	Candidates     []Candidate
	Unanswered     []string // who may be fresher and did not answer just now, and a master that may refuse us alone
	State          State
	ID             string
	Eligibility    Eligibility
	MasterReturned bool // the published master's agent had left, and is there again
	ConsulSettling bool // Consul has just come back: checks say nothing of the agents behind them

	LeaderlessFor   time.Duration // since the lock is free
	SlowMemberGrace time.Duration // within which the agent of a Redis that is silent has seen that, or it answers
	BootstrapDelay  time.Duration // within which who was started at the same time is ready
}

// AcquireDecision is when a member takes a free lock, and why not now.
type AcquireDecision struct {
	Wait       time.Duration
	Ineligible bool // it may not, as things are
	Retry      bool // it has to look again then
	Why        string
}

// String is who answered with what, the best first, then who may not lead.
func (c Candidacy) String() string {
	var out []string
	ranked := Rank(c.Candidates, c.State, c.Eligibility)
	for _, o := range append(ranked, c.Candidates...) {
		if why := o.IneligibleReason(c.State, c.Eligibility); len(out) < len(ranked) || why != "" {
			out = append(out, strings.TrimSpace(fmt.Sprintf("%s %d keys, %.8s %.8s @%d %s", o.ID, o.Keys, o.Position.ReplID, o.Position.ReplID2, o.Position.Offset, why)))
		}
	}
	return strings.Join(out, "; ")
}

// AcquireDelay decides how long a member waits before it takes a free lock.
func (c Candidacy) AcquireDelay() AcquireDecision {
	at := slices.IndexFunc(c.Candidates, func(o Candidate) bool { return o.ID == c.ID })
	if at < 0 {
		return AcquireDecision{Wait: MasterReclaimTime, Why: "our redis has just become unfit"} // the loop will see why
	}
	own := c.Candidates[at]
	if why := own.IneligibleReason(c.State, c.Eligibility); why != "" {
		return AcquireDecision{Wait: SurveyInterval, Ineligible: true, Retry: true, Why: "redis may not lead: " + why}
	}
	if c.State.Master == nil && own.Keys == 0 {
		if i := slices.IndexFunc(c.Candidates, func(o Candidate) bool { return o.Loading }); i >= 0 {
			return AcquireDecision{Wait: SurveyInterval, Retry: true, Why: "our redis is empty, and " + c.Candidates[i].ID + " is loading"}
		}
		if c.LeaderlessFor < c.BootstrapDelay {
			return AcquireDecision{Wait: c.BootstrapDelay - c.LeaderlessFor, Why: "our redis is empty, and another that has data may be about to come"}
		}
	}
	ranked := Rank(c.Candidates, c.State, c.Eligibility)
	rank := slices.IndexFunc(ranked, func(o Candidate) bool { return o.ID == c.ID })
	best := ranked[0]
	switch {
	case !best.Incumbent(c.State) && len(c.Unanswered) > 0 && c.LeaderlessFor < c.SlowMemberGrace: // whatever our rank: under the lock it would be waited for, too
		return AcquireDecision{Wait: min(SurveyInterval, c.SlowMemberGrace-c.LeaderlessFor), Retry: true, Why: c.Unanswered[0] + " does not answer, and may be fresher"}
	case rank == 0:
		return AcquireDecision{}
	case best.Incumbent(c.State) && c.State.Why == "" && c.State.Master != nil && !best.InCatalog:
		return AcquireDecision{Wait: ConsulRestartTime, Why: "the master " + best.ID + " answers, and its consul agent has left"}
	case best.Incumbent(c.State) && (best.AgentAlive || c.ConsulSettling) && (c.State.Why == "" || c.MasterReturned):
		return AcquireDecision{Wait: MasterReclaimTime, Why: "the master " + best.ID + " answers"}
	case best.Incumbent(c.State):
		rank-- // it gave the lock up, or nobody is there to take it for it
	}
	turn := Stagger
	if c.Eligibility != RecordedOnly && c.State.Master != nil { // after a restart of all an agent needs that long until it has a session
		turn = c.BootstrapDelay
	}
	return AcquireDecision{Wait: time.Duration(rank) * turn, Why: best.ID + " ranks first"}
}

// AgentReturned tells whether the agent of a published master that had left is there again, or has not gone yet.
func AgentReturned(v View) bool {
	m := v.State.Master
	return m != nil && v.State.Why == WhyLeaving && v.LiveAgents[m.ID].Session != ""
}

const (
	// Stagger keeps the ranks apart: a rank's turn is over (one call to Consul) well before the next one's begins.
	Stagger = 250 * time.Millisecond
	// MasterReclaimTime is how long a master that answers is left to take its lost lock again. Its agent needs two calls
	// (session, lock), each again after at most a second while Consul settles.
	MasterReclaimTime = 3 * time.Second
	// ConsulRestartTime is the same for a master that is not in the catalogue: its Consul agent was told to leave, and took its
	// node along. Measured: such an agent needs 3.2 s from there until it ends, and as long until it is back and has synced.
	ConsulRestartTime = 10 * time.Second
	// SurveyInterval is the pause before the others are asked again: what is waited for comes without an event.
	SurveyInterval = 500 * time.Millisecond
)
