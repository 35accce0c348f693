package agent

import (
	"context"
	"errors"
	"time"

	"resec/commands/cluster"
	"resec/commands/lock"
	"resec/handlers/redis"
)

// keepRequests decides on what operators ask for, for as long as our reign lasts.
func (a *Agent) keepRequests(ctx context.Context, r cluster.Term) {
	for ctx.Err() == nil {
		k, changed := a.known.Watch()
		var again <-chan time.Time
		if q := k.View.Request; q != nil && q.Planned && k.View.Index >= r.Index && !cluster.OtherRequested(k.Snapshot, a.Me.ID) {
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
	q = cluster.DecideSwitchover(q, cs, k.Snapshot, a.Me)
	if q.Answer != "" {
		a.Log.Warn("a switchover was asked for", "to", q.To, "dry_run", q.DryRun, "accepted", q.Accepted, "answer", q.Answer)
	}
	return a.Lock.AnswerRequest(ctx, q)
}
