// Package failover tells who would lead, and what it costs to make a certain member lead: decisions without effects.
package failover

import (
	"cmp"
	"fmt"
	"slices"

	"resec/commands/cluster"
	"resec/commands/status"
	"resec/handlers/redis"
)

// Row is a member, and where it stands.
type Row struct {
	ID, Address string
	Rank        int // from 1; 0: it may not lead
	Status      redis.Status
	Why         string // it may not lead, or what else is to be said of it
}

// Rows is every member, those who may lead first, in the order in which they would take a free lock.
func Rows(v cluster.View, answers []status.MemberStatus) []Row {
	cs := status.Candidates(answers)
	binds := v.State.Eligibility(cs, false)
	ranked := cluster.Rank(cs, v.State, binds)
	rows := make([]Row, len(answers))
	for i, a := range answers {
		r := Row{ID: a.ID, Address: a.Address, Status: a.Status}
		r.Rank = 1 + slices.IndexFunc(ranked, func(c cluster.Candidate) bool { return c.ID == a.ID })
		c := cluster.Candidate{ID: a.ID, Status: a.Status}
		switch {
		case a.Err != nil:
			r.Why = redis.Summary(a.Err)
		case r.Rank == 0:
			r.Why = c.IneligibleReason(v.State, binds)
		case c.Incumbent(v.State):
			r.Why = "is the master"
		case v.LiveAgents[a.ID].Session == "":
			r.Why = "its agent is dead"
		case binds == cluster.AnyMember && len(v.State.Members) > 0:
			r.Why = "the record binds nobody: all were restarted"
		}
		rows[i] = r
	}
	slices.SortStableFunc(rows, func(a, b Row) int {
		return cmp.Or(cmp.Compare(unranked(a), unranked(b)), cmp.Compare(a.Rank, b.Rank), cmp.Compare(a.ID, b.ID))
	})
	return rows
}

func unranked(r Row) int {
	if r.Rank == 0 {
		return 1
	}
	return 0
}

// IneligibleReason says why not even an operator's force can make a member lead; nothing where it can.
func IneligibleReason(r Row, v cluster.View) string {
	switch {
	case r.Status.RunID == "":
		return r.Why
	case v.LiveAgents[r.ID].Session == "":
		return "it has no agent that lives, to promote it"
	}
	return cluster.Candidate{ID: r.ID, Status: r.Status}.UnusableReason()
}

// DataLoss is what each other member loses when it is made to follow to, a line each. What does not answer now is not known.
func DataLoss(rows []Row, to string) (lines []string) {
	at := slices.IndexFunc(rows, func(r Row) bool { return r.ID == to })
	if at < 0 {
		return nil
	}
	leader := rows[at].Status
	for _, r := range rows {
		if r.ID == to {
			continue
		}
		lines = append(lines, r.ID+": "+cost(r.Status, leader))
	}
	return lines
}

func cost(st, leader redis.Status) string {
	p, q := st.Position, leader.Position
	switch {
	case st.RunID == "":
		return "does not answer; whatever it holds is overwritten once it follows"
	case p.IsAncestorOf(q):
		return "loses nothing"
	case p.ReplID == q.ReplID || q.IsAncestorOf(p):
		return fmt.Sprintf("loses the last %d bytes of its replication stream", p.Offset-q.Offset)
	case st.Keys == 0:
		return "loses nothing: it has no keys"
	}
	return fmt.Sprintf("its %d keys (%d bytes) are overwritten: its history is another", st.Keys, st.Dataset)
}
