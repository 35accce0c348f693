package agent

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"resec/commands/cluster"
)

// candidacy is what a member knows when the lock is free.
type candidacy struct {
	candidates     []cluster.Candidate
	unanswered     []string // who may be fresher and did not answer just now, and a master that may refuse us alone
	state          cluster.State
	id             string
	eligibility    cluster.Eligibility
	masterReturned bool // the published master's agent had left, and is there again
	consulSettling bool // Consul has just come back: checks say nothing of the agents behind them

	leaderlessFor   time.Duration // since the lock is free
	slowMemberGrace time.Duration // within which the agent of a Redis that is silent has seen that, or it answers
	bootstrapDelay  time.Duration // within which who was started at the same time is ready
}

// acquireDecision is when a member takes a free lock, and why not now.
type acquireDecision struct {
	wait       time.Duration
	ineligible bool // it may not, as things are
	retry      bool // it has to look again then
	why        string
}

// String is who answered with what, the best first, then who may not lead.
func (c candidacy) String() string {
	var out []string
	ranked := cluster.Rank(c.candidates, c.state, c.eligibility)
	for _, o := range append(ranked, c.candidates...) {
		if why := o.IneligibleReason(c.state, c.eligibility); len(out) < len(ranked) || why != "" {
			out = append(out, strings.TrimSpace(fmt.Sprintf("%s %d keys, %.8s %.8s @%d %s", o.ID, o.Keys, o.Position.ReplID, o.Position.ReplID2, o.Position.Offset, why)))
		}
	}
	return strings.Join(out, "; ")
}

// acquireDelay decides how long a member waits before it takes a free lock.
func (c candidacy) acquireDelay() acquireDecision {
	at := slices.IndexFunc(c.candidates, func(o cluster.Candidate) bool { return o.ID == c.id })
	if at < 0 {
		return acquireDecision{wait: masterReclaimTime, why: "our redis has just become unfit"} // the loop will see why
	}
	own := c.candidates[at]
	if why := own.IneligibleReason(c.state, c.eligibility); why != "" {
		return acquireDecision{wait: surveyInterval, ineligible: true, retry: true, why: "redis may not lead: " + why}
	}
	if c.state.Master == nil && own.Keys == 0 {
		if i := slices.IndexFunc(c.candidates, func(o cluster.Candidate) bool { return o.Loading }); i >= 0 {
			return acquireDecision{wait: surveyInterval, retry: true, why: "our redis is empty, and " + c.candidates[i].ID + " is loading"}
		}
		if c.leaderlessFor < c.bootstrapDelay {
			return acquireDecision{wait: c.bootstrapDelay - c.leaderlessFor, why: "our redis is empty, and another that has data may be about to come"}
		}
	}
	ranked := cluster.Rank(c.candidates, c.state, c.eligibility)
	rank := slices.IndexFunc(ranked, func(o cluster.Candidate) bool { return o.ID == c.id })
	best := ranked[0]
	switch {
	case !best.Incumbent(c.state) && len(c.unanswered) > 0 && c.leaderlessFor < c.slowMemberGrace: // whatever our rank: under the lock it would be waited for, too
		return acquireDecision{wait: min(surveyInterval, c.slowMemberGrace-c.leaderlessFor), retry: true, why: c.unanswered[0] + " does not answer, and may be fresher"}
	case rank == 0:
		return acquireDecision{}
	case best.Incumbent(c.state) && c.state.Why == "" && c.state.Master != nil && !best.InCatalog:
		return acquireDecision{wait: consulRestartTime, why: "the master " + best.ID + " answers, and its consul agent has left"}
	case best.Incumbent(c.state) && (best.AgentAlive || c.consulSettling) && (c.state.Why == "" || c.masterReturned):
		return acquireDecision{wait: masterReclaimTime, why: "the master " + best.ID + " answers"}
	case best.Incumbent(c.state):
		rank-- // it gave the lock up, or nobody is there to take it for it
	}
	turn := stagger
	if c.eligibility != cluster.RecordedOnly && c.state.Master != nil { // after a restart of all an agent needs that long until it has a session
		turn = c.bootstrapDelay
	}
	return acquireDecision{wait: time.Duration(rank) * turn, why: best.ID + " ranks first"}
}
