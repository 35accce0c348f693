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
	state      lock.State
	id         string
	void       bool // the record binds nobody
	settling   bool // Consul has just come back: checks say nothing of the agents behind them

	vacant  time.Duration // since the lock is free
	newborn time.Duration // within which who was started at the same time is ready
}

// String is who answered with what, the best first, then who may not lead.
func (c claim) String() string {
	var out []string
	ranked := lock.Rank(c.candidates, c.state, c.void)
	for _, o := range append(ranked, c.candidates...) {
		if why := o.Unfit(c.state, c.void); len(out) < len(ranked) || why != "" {
			out = append(out, strings.TrimSpace(fmt.Sprintf("%s %d keys, %.8s %.8s @%d %s", o.ID, o.Keys, o.Position.Lineage, o.Position.Lineage2, o.Position.Offset, why)))
		}
	}
	return strings.Join(out, "; ")
}

// patience decides how long a member waits before it takes a free lock; negative: it may not, as things are.
func (c claim) patience() (time.Duration, string) {
	own := slices.IndexFunc(c.candidates, func(o lock.Candidate) bool { return o.ID == c.id })
	if own < 0 {
		return leaveIncumbent, "our redis has just become unfit" // the loop will see why
	}
	if why := c.candidates[own].Unfit(c.state, c.void); why != "" {
		return -1, "redis may not lead: " + why
	}
	if c.state.Master == nil && c.candidates[own].Keys == 0 && c.vacant < c.newborn {
		return c.newborn - c.vacant, "our redis is empty, and another that has data may be about to come"
	}
	ranked := lock.Rank(c.candidates, c.state, c.void)
	rank := slices.IndexFunc(ranked, func(o lock.Candidate) bool { return o.ID == c.id })
	best := ranked[0]
	switch {
	case rank == 0:
		return 0, ""
	case best.Incumbent(c.state) && c.state.Why == "" && c.state.Master != nil && !best.Listed:
		return leaveVanished, "the master " + best.ID + " answers, and its consul agent has left"
	case best.Incumbent(c.state) && (best.Tended || c.settling) && c.state.Why == "":
		return leaveIncumbent, "the master " + best.ID + " answers"
	case best.Incumbent(c.state):
		rank-- // it gave the lock up, or nobody is there to take it for it
	}
	if c.void && c.state.Master != nil { // after a restart of all an agent needs that long until it has a session
		return time.Duration(rank) * c.newborn, best.ID + " ranks first"
	}
	return time.Duration(rank) * stagger, best.ID + " ranks first"
}
