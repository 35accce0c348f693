package agent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"resec/commands/cluster"
	"resec/commands/known"
	"resec/handlers/redis"
)

// heldOpenInterval is how often Redis is asked while fewer members keep up than the published guard counts, and a lower guard
// cannot be published. A replica that is no member needs longer for its first sync.
const heldOpenInterval = 50 * time.Millisecond

// heldOpen is what the guard keeper knows of replicas that are no members while it cannot lower the published guard. Its
// goroutine owns it.
type heldOpen struct {
	possible bool      // only such replicas could keep the guard open now
	fenced   time.Time // since when our Redis is fenced for them; zero: it is not
}

// fenceHeldOpen fences our Redis if replicas that are no members keep its guard open, after the guard could not be published: by
// now a challenger may rely on that guard. publishErr nil: it was published. In a pause no member takes over.
func (g *guardKeeper) fenceHeldOpen(ctx context.Context, k known.Snapshot, st redis.Status, publishErr error) error {
	a, h := g.t.a, &g.heldOpen
	h.possible = publishErr != nil && ctx.Err() == nil && !k.Paused &&
		!cluster.MembersKeepUp(st, k.View, a.Me.ID, a.links.streams, a.Guard)
	if !h.possible || st.Fenced() || !cluster.HeldOpen(st, k.View, a.Me.ID, a.links.streams, a.Guard) {
		return nil
	}
	if err := a.local.FenceHeldOpen(ctx); err != nil {
		return fmt.Errorf("fence redis, whose guard is kept open by replicas that are no members: %w", err)
	}
	h.fenced = time.Now()
	a.Log.Warn("replicas that are no members keep the guard open, and consul does not take a lower one; redis is fenced until its "+
		"members are back, or consul confirms the lock", "event", "guard_held_open", "redis", a.local.Addr(),
		"replicas", len(st.Replicas))
	a.notifyFenced(g.t.term.Number, "replicas that are no members keep the guard open")
	return nil
}

// unfenceHeldOpen ends that fence without Consul, once as many members as the published guard counts have acknowledged since.
// Then no challenger can have gathered the detached members that it needs.
func (g *guardKeeper) unfenceHeldOpen(ctx context.Context, k known.Snapshot, st redis.Status) error {
	a, h := g.t.a, &g.heldOpen
	acked := cluster.AckedSince(st, h.fenced, time.Now())
	if h.fenced.IsZero() || !st.Fenced() || !cluster.MembersKeepUp(acked, k.View, a.Me.ID, a.links.streams, a.Guard) {
		return nil
	}
	unfenced, err := a.local.UnfenceHeldOpen(ctx)
	if err != nil {
		return errors.Join(errors.New("unfence redis, whose members are back"), err)
	}
	*h = heldOpen{}
	if unfenced {
		a.Log.Warn("enough members have acknowledged since redis was fenced; it is unfenced", "event", "held_open_unfenced",
			"redis", a.local.Addr())
	}
	return nil
}
