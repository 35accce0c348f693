package takeover

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"resec/commands/cluster"
	"resec/handlers/redis"
)

// catchUp syncs our Redis from a parked member that has newer data and cannot lead: its agent is dead, or it may never be
// promoted. A parked Redis serves no sync, so the member is a fenced master for that time, which its agent leaves alone. It
// returns the view with the state that says so.
func (p *run) catchUp(ctx context.Context, v cluster.View, m *parkedPeer) (cluster.View, error) {
	p.Timeline.step(StepCatchUp)
	p.Log.Info("another member has newer data and cannot lead; we catch up from it", "event", "catch_up",
		"member", m.ID, "offset", m.status.Position.Offset)
	if err := p.parkSelf(ctx); err != nil {
		return v, err
	}
	own, err := p.Self.Redis.Status(ctx)
	if err != nil {
		return v, err
	}
	if redis.CannotLoad(own.Version, m.status.Version) && !own.CanResync(m.status) {
		return v, fmt.Errorf("catch up from %s: redis %s cannot read a full sync of redis %s", m.ID, own.Version, m.status.Version)
	}
	if v, err = p.Lock.Write(ctx, p.Session.ID, v, v.State.AliasRuns(m.status, own)); err != nil {
		return v, err
	}
	if err := p.checkLease(); err != nil {
		return v, err
	}
	defer p.parkSource(ctx, m)
	source, err := m.server.Promote(ctx)
	if err != nil {
		return v, err
	}
	p.Timeline.step(StepSourcePromoted)
	if v, err = p.syncAndRecord(ctx, v, m, source); err != nil {
		// Our Redis must not sync from whatever starts at that address now.
		err = errors.Join(err, p.parkIfFollowing(context.WithoutCancel(ctx), m.Address))
	}
	return v, err
}

// syncAndRecord returns once our Redis has all data of the source and the state knows the replication ID under which it got
// them.
func (p *run) syncAndRecord(ctx context.Context, v cluster.View, m *parkedPeer, source redis.Status) (cluster.View, error) {
	source, err := p.syncFrom(ctx, m, source)
	if err != nil {
		return v, err
	}
	return p.Lock.Write(ctx, p.Session.ID, v, v.State.AliasHistory(v.State.ResolvePosition(source)))
}

// parkSource parks the member again from which our Redis has caught up. It does not if the lock or the lease is lost: the
// member may be a master or follow one by now.
func (p *run) parkSource(ctx context.Context, m *parkedPeer) {
	if !stillHolder(ctx) || p.checkLease() != nil {
		return
	}
	if err := m.server.Park(context.WithoutCancel(ctx)); err != nil {
		p.Log.Warn("the member that we caught up from stays a fenced master; its agent will park it",
			"event", "source_not_parked",
			"member", m.ID, "err", err)
	}
}

// syncFrom makes our Redis follow the member until it has all its data. It returns the member's status, whose replication ID
// may have changed when our sync began. A full sync may take long, and meanwhile no other member can lead. So it gives up as
// syncProgress says.
func (p *run) syncFrom(ctx context.Context, m *parkedPeer, source redis.Status) (redis.Status, error) {
	if err := p.Self.Redis.Follow(ctx, m.Address); err != nil {
		return source, err
	}
	progress := syncProgress{at: time.Now()}
	err := p.waitUntil(ctx, math.MaxInt64, 5*time.Millisecond, func(own redis.Status) (bool, error) {
		progress = progress.observe(own, source.Position, time.Now())
		if err := progress.ended(time.Now()); err != nil {
			return false, err
		}
		if !own.Streaming() {
			return false, verifySameRun(ctx, own, m.server, source.RunID)
		}
		if own.Position.ReplID != source.Position.ReplID {
			now, err := m.server.Status(ctx)
			source = adoptReplID(source, now, own, err)
		}
		return hasAll(own.Position, source.Position), nil
	})
	if err != nil {
		return source, fmt.Errorf("catch up from %s: %w", m.ID, err)
	}
	return source, nil
}

// maxFailedSyncs is how many full syncs in a row may fail. Redis begins the next one at once, also if it can read none of them.
const maxFailedSyncs = 3

var (
	errSyncFails   = errors.New("our redis cannot read its full sync; its log says why")
	errSyncStopped = errors.New("our redis receives nothing")
)

// syncProgress is what is known of a sync of our Redis. A full sync is waited for as long as it is under way, because Redis ends
// one that stops after its repl-timeout. The zero value, with the time of the start, is a sync that was just asked for.
type syncProgress struct {
	at      time.Time // of the last progress
	full    bool      // a full sync was under way
	loading bool      // it was being loaded
	offset  int64     // at the last look
	failed  int       // full syncs that ended without a link, as far as they were seen
}

// observe returns what is known after one more look at our Redis. want is the position that it is to reach.
func (s syncProgress) observe(own redis.Status, want redis.Position, now time.Time) syncProgress {
	full := own.Syncing || own.Loading
	missing := own.Streaming() && own.Position.ReplID == want.ReplID && own.Position.Offset < want.Offset
	if full || missing && own.Position.Offset > s.offset {
		s.at = now
	}
	ended := s.full && !full || s.loading && !own.Loading // one that was loaded is linked at once
	if ended && !own.Streaming() {
		s.failed++
	}
	s.full, s.loading, s.offset = full, own.Loading, own.Position.Offset
	return s
}

// ended returns why the sync is not waited for any longer; nil: it is.
func (s syncProgress) ended(now time.Time) error {
	switch {
	case s.failed >= maxFailedSyncs:
		return fmt.Errorf("%w (%d full syncs failed)", errSyncFails, s.failed)
	case now.Sub(s.at) > catchUpTimeout:
		return fmt.Errorf("%w for %s (its offset is %d)", errSyncStopped, catchUpTimeout, s.offset)
	}
	return nil
}

// adoptReplID returns the source's new status if it has begun the history that our Redis streams from it, and otherwise the
// former one.
func adoptReplID(source, now, own redis.Status, err error) redis.Status {
	if err != nil || now.RunID != source.RunID || now.Position.ReplID != own.Position.ReplID {
		return source
	}
	return now
}
