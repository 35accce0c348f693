package agent

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"resec/commands/cluster"
	"resec/commands/lock"
	"resec/handlers/redis"
)

// maxSwitchoverLag is how many bytes a member may lack that is to lead by plan: writes are held back until it has them, for takeover.ReachFor
// at most.
const maxSwitchoverLag = 1 << 20

// keepRequests decides on what operators ask for, for as long as our reign lasts.
func (a *Agent) keepRequests(ctx context.Context, r leaderTerm) {
	for ctx.Err() == nil {
		k, changed := a.known.Watch()
		var again <-chan time.Time
		if q := k.view.Request; q != nil && q.Planned && k.view.Index >= r.index && !otherRequested(k, a.Me.ID) {
			if err := a.answerRequest(ctx, k, *q); err != nil && ctx.Err() == nil {
				if !errors.Is(err, lock.ErrChanged) {
					a.Log.Warn("an operator's request could not be considered", "err", err)
				}
				again = time.After(minStepRetry)
			}
		}
		select {
		case <-ctx.Done():
		case <-changed:
		case <-again:
		}
	}
}

// answerRequest decides on one. What it writes comes back with the watch.
func (a *Agent) answerRequest(ctx context.Context, k snapshot, q cluster.Request) error {
	cs, _, err := a.survey(ctx, k, func(cluster.Member, redis.Status, error, time.Time) {}) // beside the loop
	if err != nil {
		return err
	}
	q = decideSwitchover(q, cs, k, a.Me)
	if q.Answer != "" {
		a.Log.Warn("a switchover was asked for", "to", q.To, "dry_run", q.DryRun, "accepted", q.Accepted, "answer", q.Answer)
	}
	return a.Lock.AnswerRequest(ctx, q)
}

// decideSwitchover accepts a plan, with the id of the member that is to lead, or says why not.
func decideSwitchover(q cluster.Request, cs []cluster.Candidate, k snapshot, me cluster.Master) cluster.Request {
	refuse := func(format string, args ...any) cluster.Request {
		q.Answer = fmt.Sprintf(format, args...) // of one that was accepted before, why it failed
		return q
	}
	members := cluster.Members(nil, k.view)
	own := slices.IndexFunc(cs, func(c cluster.Candidate) bool { return c.ID == me.ID })
	switch {
	case k.paused:
		return refuse("the cluster is %s", k.view.Pause)
	case q.Accepted:
		return refuse("the agent of %s is gone", q.To)
	case own < 0 || !cs[own].Master || cs[own].Fenced():
		return refuse("the master %s does not accept writes", me.ID)
	case q.To == "":
		if q.To = successor(cs, k, me, nil); q.To == "" {
			return refuse("no member is fit to lead")
		}
	default:
		at := slices.IndexFunc(members, func(m cluster.Member) bool { return m.ID == q.To || m.Address == q.To })
		if at < 0 {
			return refuse("there is no member %s", q.To)
		}
		q.To = members[at].ID
	}
	at := slices.IndexFunc(cs, func(c cluster.Candidate) bool { return c.ID == q.To })
	switch {
	case q.To == me.ID:
		return refuse("%s is the master already", q.To)
	case k.view.LiveAgents[q.To].Session == "":
		return refuse("%s has no agent that lives", q.To)
	case at < 0:
		return refuse("the redis of %s does not answer, or is another", q.To)
	}
	c := cs[at]
	behind := cs[own].Position.Offset - c.Position.Offset
	switch why := c.IneligibleReason(k.view.State, cluster.RecordedOnly); {
	case why != "":
		return refuse("%s may not lead: %s", q.To, why)
	case !c.Streaming() || c.MasterAddr != me.Address || c.Position.ReplID != cs[own].Position.ReplID:
		return refuse("%s is not linked to the master", q.To)
	case behind > maxSwitchoverLag:
		return refuse("%s is too far behind: %d bytes", q.To, behind)
	case q.DryRun:
		q.Answer = fmt.Sprintf("%s would lead: it is linked, and %d bytes behind", q.To, max(0, behind))
	}
	q.Accepted = true
	return q
}
