package agent

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"resec/commands/lock"
)

// claim is what a member knows when the lock is free.
type claim struct {
	candidates []lock.Candidate
	silent     []string // who may be fresher and did not answer just now, and a master that may refuse us alone
	state      lock.State
	id         string
	binds      lock.Binding
	returned   bool // the published master's agent had left, and is there again
	settling   bool // Consul has just come back: checks say nothing of the agents behind them

	vacant  time.Duration // since the lock is free
	grace   time.Duration // within which the agent of a Redis that is silent has seen that, or it answers
	newborn time.Duration // within which who was started at the same time is ready
}

// verdict is when a member takes a free lock, and why not now.
type verdict struct {
	wait   time.Duration
	barred bool // it may not, as things are
	again  bool // it has to look again then
	why    string
}

// String is who answered with what, the best first, then who may not lead.
func (c claim) String() string {
	var out []string
	ranked := lock.Rank(c.candidates, c.state, c.binds)
	for _, o := range append(ranked, c.candidates...) {
		if why := o.Unfit(c.state, c.binds); len(out) < len(ranked) || why != "" {
			out = append(out, strings.TrimSpace(fmt.Sprintf("%s %d keys, %.8s %.8s @%d %s", o.ID, o.Keys, o.Position.Lineage, o.Position.Lineage2, o.Position.Offset, why)))
		}
	}
	return strings.Join(out, "; ")
}

// patience decides how long a member waits before it takes a free lock.
func (c claim) patience() verdict {
	at := slices.IndexFunc(c.candidates, func(o lock.Candidate) bool { return o.ID == c.id })
	if at < 0 {
		return verdict{wait: leaveIncumbent, why: "our redis has just become unfit"} // the loop will see why
	}
	own := c.candidates[at]
	if why := own.Unfit(c.state, c.binds); why != "" {
		return verdict{wait: lookAgain, barred: true, again: true, why: "redis may not lead: " + why}
	}
	if c.state.Master == nil && own.Keys == 0 {
		if i := slices.IndexFunc(c.candidates, func(o lock.Candidate) bool { return o.Loading }); i >= 0 {
			return verdict{wait: lookAgain, again: true, why: "our redis is empty, and " + c.candidates[i].ID + " is loading"}
		}
		if c.vacant < c.newborn {
			return verdict{wait: c.newborn - c.vacant, why: "our redis is empty, and another that has data may be about to come"}
		}
	}
	ranked := lock.Rank(c.candidates, c.state, c.binds)
	rank := slices.IndexFunc(ranked, func(o lock.Candidate) bool { return o.ID == c.id })
	best := ranked[0]
	switch {
	case !best.Incumbent(c.state) && len(c.silent) > 0 && c.vacant < c.grace: // whatever our rank: under the lock it would be waited for, too
		return verdict{wait: min(lookAgain, c.grace-c.vacant), again: true, why: c.silent[0] + " does not answer, and may be fresher"}
	case rank == 0:
		return verdict{}
	case best.Incumbent(c.state) && c.state.Why == "" && c.state.Master != nil && !best.Listed:
		return verdict{wait: leaveVanished, why: "the master " + best.ID + " answers, and its consul agent has left"}
	case best.Incumbent(c.state) && (best.Tended || c.settling) && (c.state.Why == "" || c.returned):
		return verdict{wait: leaveIncumbent, why: "the master " + best.ID + " answers"}
	case best.Incumbent(c.state):
		rank-- // it gave the lock up, or nobody is there to take it for it
	}
	turn := stagger
	if c.binds != lock.Bound && c.state.Master != nil { // after a restart of all an agent needs that long until it has a session
		turn = c.newborn
	}
	return verdict{wait: time.Duration(rank) * turn, why: best.ID + " ranks first"}
}
