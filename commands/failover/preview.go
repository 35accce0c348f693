// Package failover shows which member would be elected, and what is lost if a certain member is promoted. It decides and has no
// effects.
package failover

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"resec/commands/cluster"
	"resec/commands/status"
	"resec/handlers/redis"
)

// Row is a member with its place in the ranking.
type Row struct {
	ID, Address string
	Rank        int // from 1; 0: it may not lead
	Status      redis.Status
	Why         string // why it may not lead, or a remark
}

// Rows are all members: the eligible ones in the order in which they would acquire a free lock, then the others.
func Rows(v cluster.View, answers []status.MemberStatus) []Row {
	candidates := status.Candidates(answers)
	eligibility := v.State.Eligibility(candidates, false)
	ranked := cluster.Rank(candidates, v.State, eligibility)
	rows := make([]Row, len(answers))
	for i, a := range answers {
		rank := 1 + slices.IndexFunc(ranked, func(c cluster.Candidate) bool { return c.ID == a.ID })
		why := remark(a, rank, v, eligibility)
		if held := cluster.HeldUpReason(a.ID, candidates, v.State, eligibility); rank > 0 && held != "" {
			rank, why = 0, held
		}
		rows[i] = Row{ID: a.ID, Address: a.Address, Rank: rank, Status: a.Status, Why: why}
	}
	slices.SortStableFunc(rows, func(a, b Row) int {
		return cmp.Or(cmp.Compare(unranked(a), unranked(b)), cmp.Compare(a.Rank, b.Rank), cmp.Compare(a.ID, b.ID))
	})
	return rows
}

// remark says why a member may not lead, or what else matters about it.
func remark(a status.MemberStatus, rank int, v cluster.View, e cluster.Eligibility) string {
	switch {
	case errors.Is(a.Err, cluster.ErrWrongAddress):
		return a.Err.Error()
	case a.Err != nil:
		return redis.Summary(a.Err)
	case rank == 0:
		return a.Candidate().IneligibleReason(v.State, e)
	case a.Candidate().Incumbent(v.State):
		return join("is the master", a.Candidate().UnservedReason())
	case v.LiveAgents[a.ID].Session == "":
		return "its agent is dead"
	case a.WrongAddress != "" && e == cluster.RecordedOnly:
		return "ranks behind the others that were in sync: " + a.WrongAddress
	case a.WrongAddress != "":
		return a.WrongAddress
	case a.Candidate().Drawback() != "":
		return a.Candidate().Drawback()
	case e == cluster.AnyMember && len(v.State.Members) > 0:
		return "eligible because no member that may lead is in sync in its recorded run"
	}
	return ""
}

// join joins a remark and what speaks against a member, if anything does.
func join(remark, drawback string) string {
	if drawback == "" {
		return remark
	}
	return remark + "; " + drawback
}

// unranked sorts a row that has no rank behind those that have one.
func unranked(r Row) int {
	if r.Rank == 0 {
		return 1
	}
	return 0
}

// IneligibleReason says why a member cannot lead even if an operator forces it; nothing if it can.
func IneligibleReason(r Row, v cluster.View) string {
	switch {
	case r.Status.RunID == "":
		return r.Why
	case v.LiveAgents[r.ID].Session == "":
		return "its agent is dead, and only that can promote it"
	}
	if refused := v.LiveAgents[r.ID].Refused; refused != "" {
		return refused
	}
	return cluster.Candidate{ID: r.ID, Status: r.Status}.UnusableReason()
}

// DataLoss is a line for each other member: what it loses if it replicates from the member to. It is empty if that is unknown.
func DataLoss(rows []Row, to string) (lines []string) {
	at := slices.IndexFunc(rows, func(r Row) bool { return r.ID == to })
	if at < 0 {
		return nil
	}
	for _, r := range rows {
		if r.ID != to {
			lines = append(lines, r.ID+": "+loss(r.Status, rows[at].Status))
		}
	}
	return lines
}

// loss says what a server loses if it replicates from master.
func loss(st, master redis.Status) string {
	p, q := st.Position, master.Position
	switch {
	case st.RunID == "":
		return "does not answer; all its data is overwritten when it replicates"
	case redis.CannotLoad(st.Version, master.Version) && !st.CanResync(master):
		return fmt.Sprintf("its redis %s cannot read a full sync of redis %s: with -force it loses its %d keys and does not replicate",
			st.Version, master.Version, st.Keys)
	case redis.CannotLoad(st.Version, master.Version):
		return fmt.Sprintf("loses nothing now; its redis %s cannot read a full sync of redis %s: once it needs one, it loses its "+
			"data and is parked", st.Version, master.Version)
	case p.IsAncestorOf(q):
		return "loses nothing"
	case p.ReplID == q.ReplID || q.IsAncestorOf(p):
		return fmt.Sprintf("loses the last %d bytes of its replication stream", p.Offset-q.Offset)
	case st.Keys == 0:
		return "loses nothing: it has no keys"
	}
	return fmt.Sprintf("its %d keys (%d bytes) are overwritten: it has another replication history", st.Keys, st.Dataset)
}
