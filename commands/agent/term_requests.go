package agent

import (
	"context"
	"errors"
	"time"

	"resec/commands/cluster"
	"resec/commands/known"
	"resec/commands/lock"
	"resec/commands/logonce"
)

// keepRequests answers operators' requests for a switchover, for as long as the term lasts.
func (t *leaderTerm) keepRequests(ctx context.Context) {
	var failure logonce.Once
	for ctx.Err() == nil {
		k, changed := t.a.known.Watch()
		var again <-chan time.Time
		r := k.View.Request
		if r != nil && r.Planned && k.Fresh && k.View.Index >= t.term.Index && !cluster.OtherRequested(k.Snapshot, t.a.Me.ID) {
			if err := t.answerRequest(ctx, k, *r); err != nil && ctx.Err() == nil {
				if !errors.Is(err, lock.ErrChanged) && failure.Changed(lock.ErrorKind(err)) {
					t.a.Log.Warn("cannot answer an operator's request, retrying", "event", "request_failed",
						"to", r.To, "err", err)
				}
				again = time.After(minStepRetry)
			} else if err == nil {
				failure.Reset()
			}
		}
		select {
		case <-ctx.Done():
		case <-changed:
		case <-again:
		}
	}
}

// answerRequest decides on one request. What it writes comes back with the watch.
func (t *leaderTerm) answerRequest(ctx context.Context, k known.Snapshot, r cluster.Request) error {
	s, err := t.a.surveyor.Survey(ctx, k.Snapshot)
	if err != nil {
		return err
	}
	r = cluster.DecideSwitchover(r, s.Candidates, k.Snapshot, t.a.Me)
	if r.Answer != "" {
		t.a.Log.Warn("operator's switchover request is answered", "event", "switchover_answered",
			"to", r.To, "dry_run", r.DryRun, "accepted", r.Accepted, "answer", r.Answer)
	}
	return t.a.Lock.AnswerRequest(ctx, r)
}
