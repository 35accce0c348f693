package agent

import (
	"context"
	"errors"
	"time"

	"golang.org/x/sync/errgroup"

	"resec/commands/cluster"
	"resec/commands/contend"
	"resec/commands/failpoint"
	"resec/commands/known"
	"resec/commands/lock"
	"resec/commands/logonce"
	"resec/commands/observable"
	"resec/commands/pace"
	"resec/commands/takeover"
)

// leaderTerm is one term of leadership, from the lock that is ours to the end of its keepers. It runs in the controller's
// goroutine; its keepers are goroutines that it starts and joins. They may still be ending while finish works, because one of
// them may wait for a frozen Redis. Even then localredis makes one change of our Redis at a time. The controller joins what the
// takeover still does for other members, and the history. Both change neither our Redis nor the lock.
type leaderTerm struct {
	a       *Agent
	c       *controller
	session *lock.Session

	term        cluster.Term           // set by the takeover
	replicaLost chan struct{}          // a replica's link to us began or ended: the guard is to be checked now
	unserved    chan cluster.EndReason // clients are not served: what ends the term, from its keeper
}

func newLeaderTerm(c *controller, k known.Snapshot) *leaderTerm {
	return &leaderTerm{a: c.a, c: c, session: k.Session, replicaLost: make(chan struct{}, 1),
		unserved: make(chan cluster.EndReason, 1)}
}

// run takes over, keeps what a master needs until something ends the term, and does what its end needs. A nil won says that the
// lock was not won by contending just now. It returns lock.ErrNotHolder if the lock is not ours, and the takeover's error, which
// is logged. When it returns its keepers have ended.
func (t *leaderTerm) run(ctx context.Context, k known.Snapshot, won *contend.Won) error {
	var keepers errgroup.Group
	defer func() { _ = keepers.Wait() }() // keepers return no error; joined last, after endLeading has ended their context
	held, endLeading := t.lead(ctx)
	defer endLeading()
	began, timeline := time.Now(), takeover.NewTimeline()
	demotion := takeover.NewCatalogDemotion(t.readDemotions)
	done, err := t.takeOver(held, k, won, timeline, demotion)
	if done != nil { // what looks at another member's Redis may take until that does not answer
		t.c.background.Go(done.Wait)
	}
	if err != nil {
		return t.failed(ctx, done, endLeading, err)
	}
	t.begin(k, done.View, began, timeline)
	t.recordTakeover(ctx, k, done.View, began, timeline.Steps())
	for _, keep := range t.keepers() {
		keepers.Go(func() error { keep(held); return nil })
	}
	if !demotion.Applied {
		t.demoteListed(held)
	}
	failpoint.Hit("demoted")
	// A member is missing from a list while its entry changes its service.
	keepers.Go(func() error { t.keepMembers(held); return nil })
	why := t.hold(ctx, held)
	endLeading()
	t.finish(ctx, why)
	return nil
}

// keepers are what runs as long as the term lasts.
func (t *leaderTerm) keepers() []func(context.Context) {
	return []func(context.Context){t.keepGuard, t.watchHeldOpen, t.a.local.KeepEmergencyFence, t.watchReplicas,
		t.watchUnknownReplicas, t.keepRequests, t.watchStaleMasters, t.keepServed(t.c.handovers.next)}
}

// begin notes that our Redis is the published master.
func (t *leaderTerm) begin(k known.Snapshot, v cluster.View, began time.Time, timeline *takeover.Timeline) {
	t.c.contender.HighestTerm = v.State.Term()
	t.term = cluster.Term{ID: t.a.Me.ID, Session: t.session.ID, Index: v.Index, Number: v.State.Term(),
		RunID: v.State.Master.RunID, Since: time.Now()}
	if k.View.State.Term() == t.term.Number {
		t.a.Log.Info("redis is still the published master; its term continues", "event", "term_resumed",
			"redis", t.a.local.Addr(), "term", t.term.Number)
	} else {
		t.a.Log.Info("redis is promoted and published as master", "event", "promoted", "redis", t.a.local.Addr(),
			"term", t.term.Number, "took", t.term.Since.Sub(began).Round(time.Millisecond))
	}
	t.a.observer.Wrote(v)
	clear(t.c.failedSources)
	t.a.known.Update(func(k *known.Snapshot) { k.HasLed = true })
	t.a.local.ProbeSoon()
}

// failed does what is left to do after a takeover that failed.
func (t *leaderTerm) failed(ctx context.Context, done *takeover.Done, endLeading func(), err error) error {
	switch {
	case errors.Is(err, takeover.ErrYielded):
		t.a.observer.Wrote(done.View)
		return nil
	case errors.Is(err, lock.ErrNotHolder):
		return err
	}
	if source := (*takeover.SourceError)(nil); errors.As(err, &source) && ctx.Err() == nil {
		t.c.failedSources[source.RunID]++
	}
	if ctx.Err() == nil && t.c.isNew("promote", err) {
		t.a.Log.Error("promotion failed; releasing the lock", "event", "promotion_failed",
			"redis", t.a.local.Addr(), "err", err)
	}
	endLeading() // the master monitor has to park our Redis again, even if Consul hangs
	t.a.release(ctx, pace.Calls(ctx, releaseCalls), t.session.ID, cluster.WhyFailed, err.Error())
	t.a.local.ProbeSoon()
	return err
}

// lead begins leadership: a context that ends when the lock is lost, and has ended if it was lost already. The function that
// it returns ends leadership; it may be called more than once.
func (t *leaderTerm) lead(ctx context.Context) (context.Context, func()) {
	t.c.foreign.Forget()
	t.a.local.BeginLeading(ctx)
	ctx, cancel := context.WithCancelCause(ctx)
	lost := func(k known.Snapshot) bool {
		lockShown := k.Fresh && !k.View.WentBack // otherwise commands/repair takes the lock back
		return k.SessionID != t.session.ID || lockShown && k.View.Session != t.session.ID
	}
	k, changed := t.a.known.Watch()
	if lost(k) {
		cancel(takeover.ErrLost)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for ctx.Err() == nil {
			select {
			case <-ctx.Done():
				return
			case <-changed:
			}
			if k, changed = t.a.known.Watch(); lost(k) {
				cancel(takeover.ErrLost)
			}
		}
	}()
	return ctx, func() {
		cancel(nil)
		<-ended
		t.a.local.EndLeading()
	}
}

// hold stays master until the lock is lost, our Redis is no longer the one that was promoted, or the agent stops.
func (t *leaderTerm) hold(ctx, held context.Context) cluster.EndReason {
	var newer logonce.Once
	for first := true; ; first = false {
		t.a.decided.beat()
		k, changed := t.a.known.Watch()
		if errors.Is(k.View.Err, cluster.ErrNewerVersion) && newer.Changed(k.View.Err.Error()) {
			t.a.Log.Warn("state in consul is of a newer version; this master stays, and neither guard nor members are written",
				"event", "newer_state", "key", t.a.Lock.Key, "err", k.View.Err)
		}
		if ctx.Err() != nil { // before we are listed: the old master may be still
			return cluster.EndReason{ShuttingDown: true, Text: "the agent leaves"}
		}
		if why, ended := cluster.TermEnded(k.Snapshot, t.term); ended {
			return why
		}
		t.a.announcer.Advertise(k, t.term.Number)
		if first {
			failpoint.Hit("registered")
		}
		select {
		case <-held.Done(): // a stop of the agent ends it, too
		case why := <-t.unserved:
			return why
		case <-changed:
		}
		if held.Err() != nil && ctx.Err() == nil {
			return cluster.EndReason{Text: "the lock is lost"}
		}
	}
}

// finish does what the end of a term needs: first with our Redis, then with the lock.
func (t *leaderTerm) finish(ctx context.Context, why cluster.EndReason) {
	a := t.a
	a.Log.Warn("term is over", "event", "term_ended", "redis", a.local.Addr(), "term", t.term.Number, "why", why.Text)
	k := a.known.Load()
	switch {
	case why.ParkRedis:
		if err := a.local.Park(ctx); err != nil {
			a.Log.Error("cannot park the restarted redis; it may accept writes until the next attempt",
				"event", "park_restarted_failed", "redis", a.local.Addr(), "err", err)
		}
	case why.Release == cluster.WhyFrozen:
		why.Release = t.sendEmergencyFence(ctx, why)
	case why.Release == cluster.WhyDead:
		why.Release = a.confirmDead(ctx, t.term.RunID)
	case t.lostUnguarded(k, why):
		t.fenceAfterLoss(ctx, why)
	}
	switch {
	case why.HandOverTo != "":
		t.c.handOverUnserved(ctx, t.session, why)
	case why.KeepLock:
	case why.ShuttingDown:
		_ = t.c.handOverAndRelease(ctx, t.session, t.term) // a lock that was lost is taken again when Redis is restored
	case why.Release == "":
		observable.Signal(a.verifySession) // the session may be what is lost
	default:
		a.release(ctx, pace.Calls(ctx, releaseCalls), t.session.ID, why.Release, why.Text)
	}
}
