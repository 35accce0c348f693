package agent

import (
	"context"
	"time"

	"resec/commands/cluster"
	"resec/commands/known"
	"resec/commands/lock"
	"resec/commands/logonce"
	"resec/commands/pace"
)

// handovers is when this member may hand over again because clients are not served. It belongs to the controller's goroutine.
type handovers struct {
	last, next time.Time
	pause      time.Duration // from last to next
}

// keepServed returns a keeper that ends the term while clients are not served by our Redis although it works, and another member
// would serve them. It surveys the members for that, not before the time given, and again after a pause that doubles.
func (t *leaderTerm) keepServed(notBefore time.Time) func(context.Context) {
	return func(ctx context.Context) {
		var logged, waiting logonce.Once
		pace := cluster.NewHandoverPace(notBefore)
		for ctx.Err() == nil {
			k, changed := t.a.known.Watch()
			why := cluster.HandoverReason(k.Snapshot, time.Now())
			pace.Observe(why != "", time.Now())
			var again <-chan time.Time
			switch {
			case why != "":
				if !time.Now().Before(pace.Due) && k.Fresh && k.View.Index >= t.term.Index && !k.View.Request.Active() {
					if to := t.findServing(ctx, k, why, &logged); to != "" {
						t.unserved <- cluster.EndReason{Text: why, KeepLock: true, HandOverTo: to}
						return
					}
					pace.Tried(time.Now(), t.a.Registrar.Interval)
				} else if pace.Held(time.Now()) && waiting.Changed(why) {
					t.a.Log.Warn("clients are not served by the master; it hands over later, because the last handover was a moment ago",
						"event", "handover_waits", "redis", t.a.local.Addr(), "why", why, "in", time.Until(pace.Due).Round(time.Second))
				}
				again = time.After(max(time.Until(pace.Due), cluster.SurveyInterval))
			case k.Hidden.By != "": // it may become a reason without a change
				again = time.After(cluster.SurveyInterval)
				fallthrough
			default:
				logged.Reset()
				waiting.Reset()
			}
			select {
			case <-ctx.Done():
			case <-changed:
			case <-again:
			}
		}
	}
}

// findServing returns the member that would serve clients instead of our Redis. If there is none, it logs that once.
func (t *leaderTerm) findServing(ctx context.Context, k known.Snapshot, why string, logged *logonce.Once) (to string) {
	s, err := t.a.surveyor.Survey(ctx, k.Snapshot)
	if err != nil {
		if ctx.Err() == nil && logged.Changed(lock.ErrorKind(err)) {
			t.a.Log.Warn("clients are not served by the master, and the other members cannot be asked, retrying",
				"event", "unserved_survey_failed", "redis", t.a.local.Addr(), "why", why, "err", err)
		}
		return ""
	}
	if to = cluster.HandoverTo(s.Candidates, k.Snapshot, t.a.Me); to == "" && logged.Changed(why) {
		t.a.Log.Warn("clients are not served by the master, and no other member can serve them; it stays the master",
			"event", "unserved", "redis", t.a.local.Addr(), "why", why)
	}
	return to
}

// handOverUnserved transfers the lock to a member that serves clients instead of our Redis. That member takes over without loss,
// as in a switchover. If the lock cannot be transferred, or comes back, our Redis leads again, and the next try waits.
func (c *controller) handOverUnserved(ctx context.Context, s *lock.Session, why cluster.EndReason) {
	now := time.Now()
	c.handovers.pause = cluster.NextHandoverPause(c.handovers.pause, now.Sub(c.handovers.last))
	c.handovers.last, c.handovers.next = now, now.Add(c.handovers.pause)
	ctx, cancel := c.a.shutdown.bounded(ctx, pace.Timeout(ctx)) // not cut short: see takeover.yieldOrCatchUp
	defer cancel()
	k := c.a.known.Load()
	state := k.View.State
	state.Why = cluster.WhyHandedOver + ": " + why.Text
	v, err := c.a.Lock.Transfer(ctx, s.ID, k.View, why.HandOverTo, state)
	if err != nil {
		c.a.Log.Warn("clients are not served, and the lock cannot be transferred to a member that serves them; trying later",
			"event", "handover_unserved_failed", "to", why.HandOverTo, "why", why.Text, "again_in", c.handovers.pause, "err", err)
		return
	}
	c.handedOff = true
	c.a.Log.Warn("clients are not served; the lock is transferred to a member that serves them, and it takes over",
		"event", "handed_over_unserved", "to", why.HandOverTo, "why", why.Text)
	c.a.observer.Wrote(v)
}
