package cluster

import (
	"fmt"
	"slices"
)

// MaxSwitchoverLag is how many bytes a member may lack that is to lead by plan: writes are held back until it has them, for takeover.ReachFor
// at most.
const MaxSwitchoverLag = 1 << 20

// DecideSwitchover accepts a plan, with the id of the member that is to lead, or says why not.
func DecideSwitchover(q Request, cs []Candidate, k Snapshot, me Master) Request {
	refuse := func(format string, args ...any) Request {
		q.Answer = fmt.Sprintf(format, args...) // of one that was accepted before, why it failed
		return q
	}
	members := Members(nil, k.View)
	own := slices.IndexFunc(cs, func(c Candidate) bool { return c.ID == me.ID })
	switch {
	case k.Paused:
		return refuse("the cluster is %s", k.View.Pause)
	case q.Accepted:
		return refuse("the agent of %s is gone", q.To)
	case own < 0 || !cs[own].Master || cs[own].Fenced():
		return refuse("the master %s does not accept writes", me.ID)
	case q.To == "":
		if q.To = Successor(cs, k, me, nil); q.To == "" {
			return refuse("no member is fit to lead")
		}
	default:
		at := slices.IndexFunc(members, func(m Member) bool { return m.ID == q.To || m.Address == q.To })
		if at < 0 {
			return refuse("there is no member %s", q.To)
		}
		q.To = members[at].ID
	}
	at := slices.IndexFunc(cs, func(c Candidate) bool { return c.ID == q.To })
	switch {
	case q.To == me.ID:
		return refuse("%s is the master already", q.To)
	case k.View.LiveAgents[q.To].Session == "":
		return refuse("%s has no agent that lives", q.To)
	case at < 0:
		return refuse("the redis of %s does not answer, or is another", q.To)
	}
	c := cs[at]
	behind := cs[own].Position.Offset - c.Position.Offset
	switch why := c.IneligibleReason(k.View.State, RecordedOnly); {
	case why != "":
		return refuse("%s may not lead: %s", q.To, why)
	case !c.Streaming() || c.MasterAddr != me.Address || c.Position.ReplID != cs[own].Position.ReplID:
		return refuse("%s is not linked to the master", q.To)
	case behind > MaxSwitchoverLag:
		return refuse("%s is too far behind: %d bytes", q.To, behind)
	case q.DryRun:
		q.Answer = fmt.Sprintf("%s would lead: it is linked, and %d bytes behind", q.To, max(0, behind))
	}
	q.Accepted = true
	return q
}

func Successor(cs []Candidate, k Snapshot, me Master, tried map[string]bool) string {
	for _, c := range Rank(cs, k.View.State, RecordedOnly) {
		if c.ID != me.ID && !tried[c.ID] && k.View.LiveAgents[c.ID].Session != "" && c.Streaming() && c.MasterAddr == me.Address {
			return c.ID
		}
	}
	return ""
}
