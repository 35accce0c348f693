// Package elect makes one member's Redis the master: it contends for the lock, and takes over in one order whatever
// the cause.
package elect

import (
	"context"
	"log/slog"
	"time"

	"resec/commands/lock"
	"resec/handlers/redis"
)

// joinFor bounds how long the lock is kept for a sync with the old master, which goes on after it. catchUp bounds the
// wait for the last bytes. pauseFor bounds how long the old master's clients wait if we die meanwhile: it is longer
// than catchUp, so that a write that waits is answered by the successor's -READONLY and not let in before it.
const joinFor, pauseFor, catchUp = 10 * time.Second, 4 * time.Second, 2 * time.Second

// Takeover is one member's way to be master, while it holds the lock.
type Takeover struct {
	Lock    lock.Lock
	Session *lock.Session
	Me      lock.Master // as published; the run id and the term are filled in
	Service string
	Redis   *redis.Server
	Creds   redis.Options
	Log     *slog.Logger
}

// Run ends the published master's reign, promotes, publishes and lets writes in. It returns the view after publishing.
// On an error the old master is as it was, or parked where the state may name us already; ours refuses writes. Whoever
// has the lock next takes over from there.
func (t Takeover) Run(ctx context.Context, v lock.View) (lock.View, error) {
	own, err := t.Redis.Status(ctx)
	if err != nil {
		return v, err
	}
	old := v.State.Master
	if own.Master && !own.Fenced() && (old == nil || old.RunID == own.RunID) {
		return t.publish(ctx, v, own) // it is the master already, and only the lock or the state was lost: nothing moves
	}
	gone, err := t.supersede(ctx, old, own)
	if err != nil {
		return v, err
	}
	defer gone.close()
	st, err := t.Redis.Promote(ctx)
	if err == nil {
		v, err = t.publish(ctx, v, st)
	}
	if err != nil {
		gone.undo(context.WithoutCancel(ctx))
		return v, err
	}
	if _, err := t.Redis.Lift(ctx); err != nil {
		return v, err
	}
	gone.repoint(ctx, v.State.Master.Address)
	return v, nil
}

// publish writes us as the master of the next term.
func (t Takeover) publish(ctx context.Context, v lock.View, st redis.Status) (lock.View, error) {
	me := t.Me
	me.RunID = st.RunID
	state := v.State.Publish(me, st.Position.Lineage2, st.Position.Lineage)
	state.Service = t.Service
	return t.Lock.Write(ctx, t.Session.ID, v, state)
}
