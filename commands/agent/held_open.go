package agent

import (
	"context"
	"fmt"
	"time"

	"resec/commands/cluster"
	"resec/commands/logonce"
	"resec/handlers/redis"
)

const (
	// heldOpenInterval is how often Redis is asked while fewer members keep up than the published guard counts. A replica that is no
	// member needs longer for its first sync.
	heldOpenInterval = 50 * time.Millisecond
	// heldOpenGrace is how long too few members keep up before our Redis is fenced: meanwhile a lower guard is published if Consul
	// answers. A challenger waits longer.
	heldOpenGrace = 500 * time.Millisecond
)

// heldOpenWatch fences our Redis while a lower guard is not published, and replicas that are no members keep the published one
// open: a challenger may rely on it. It never waits for Consul, which may be what is lost. Its goroutine owns it.
type heldOpenWatch struct {
	t      *leaderTerm
	short  time.Time // since when too few members keep up; zero: enough do
	fenced time.Time // since when our Redis is fenced for that; zero: it is not
	failed logonce.Once
}

func (t *leaderTerm) watchHeldOpen(ctx context.Context) {
	w := &heldOpenWatch{t: t}
	for ctx.Err() == nil {
		err := w.step(ctx, time.Now())
		if err == nil {
			w.failed.Reset()
		} else if ctx.Err() == nil && w.failed.Changed(redis.Summary(err)) {
			t.a.Log.Error("cannot fence redis, whose guard replicas that are no members may keep open, retrying",
				"event", "held_open_failed", "redis", t.a.local.Addr(), "err", err)
		}
		wait := guardInterval
		if !w.short.IsZero() {
			wait = heldOpenInterval
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
}

// step asks Redis once, and acts on the answer. In a pause no member takes over.
func (w *heldOpenWatch) step(ctx context.Context, now time.Time) error {
	a := w.t.a
	k := a.known.Load()
	if k.View.State.Guard().Replicas <= 0 || k.Paused {
		w.short = time.Time{}
		return nil
	}
	st, err := a.local.Status(ctx)
	if err != nil || !st.Master || st.RunID != w.t.term.RunID { // one that does not answer takes no writes either
		return nil
	}
	enough := func(st redis.Status) bool {
		return cluster.MembersKeepUp(st, k.View, a.Me.ID, a.links.streams, a.Guard)
	}
	switch {
	case !w.fenced.IsZero() && !st.Fenced(): // it was not done, or the guard's keeper has undone it: Consul confirms the lock
		w.fenced = time.Time{}
	case !w.fenced.IsZero() && enough(cluster.AckedSince(st, w.fenced, now)):
		return w.unfence(ctx)
	}
	members, _ := cluster.CountReplicas(st, k.View, a.Me.ID, a.links.streams, a.Guard)
	wanted, _ := a.guardState(k, st, members, 0).Desired()
	if enough(st) || wanted.Replicas >= k.View.State.Guard().Replicas { // no lower guard is to be published
		w.short = time.Time{}
		return nil
	}
	if w.short.IsZero() {
		w.short = now
	}
	held := cluster.HeldOpen(st, k.View, a.Me.ID, a.links.streams, a.Guard)
	if !held || !w.fenced.IsZero() || now.Sub(w.short) < heldOpenGrace {
		return nil
	}
	return w.fence(ctx, now, len(st.Replicas))
}

func (w *heldOpenWatch) fence(ctx context.Context, now time.Time, replicas int) error {
	a := w.t.a
	w.fenced = now // also if the answer is lost: then it may have been done. If it was not, the next step sees that
	if err := a.local.FenceHeldOpen(ctx); err != nil {
		return err
	}
	a.Log.Warn("replicas that are no members keep the guard open, and no lower guard is published; redis is fenced until its "+
		"members are back, or consul confirms the lock", "event", "guard_held_open", "redis", a.local.Addr(), "replicas", replicas)
	a.notifyFenced(w.t.term.Number, "replicas that are no members keep the guard open")
	return nil
}

// unfence ends the fence without Consul: as many members as the published guard counts have acknowledged since. So no challenger
// can have gathered the detached members that it needs.
func (w *heldOpenWatch) unfence(ctx context.Context) error {
	unfenced, err := w.t.a.local.UnfenceHeldOpen(ctx)
	if err != nil {
		return fmt.Errorf("unfence redis, whose members are back: %w", err)
	}
	w.fenced = time.Time{}
	if unfenced {
		w.t.a.Log.Warn("enough members have acknowledged since redis was fenced; it is unfenced", "event", "held_open_unfenced",
			"redis", w.t.a.local.Addr())
	}
	return nil
}
