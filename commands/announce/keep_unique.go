package announce

import (
	"context"
	"errors"
	"fmt"
	"time"

	"resec/commands/cluster"
	"resec/commands/known"
	"resec/commands/logonce"
)

// ErrNotUnique is returned if another process is this member, or manages our Redis, and this agent has to give way.
var ErrNotUnique = errors.New("this agent gives way to another one")

// KeepUnique returns ErrNotUnique once another process is this member, or manages our Redis, and this agent is the one that gives
// way; nil when the context ends. A reason counts if a consistent read of the lock shows it an interval later, because a view may
// be older than our own last write. It also logs once that our announced address is wrong.
func (a *Announcer) KeepUnique(ctx context.Context) error {
	a.sharesEntry.Store(false)
	why := a.watchUnique(ctx)
	if why == "" {
		return nil
	}
	a.sharesEntry.Store(cluster.SharesEntry(a.Known.Load().Snapshot, a.Me.ID))
	return fmt.Errorf("%w: %s", ErrNotUnique, why)
}

// watchUnique returns why this agent gives way; empty when the context ends.
func (a *Announcer) watchUnique(ctx context.Context) string {
	var since time.Time // since when there is a reason that was not confirmed yet; zero: there is none
	var address logonce.Once
	for ctx.Err() == nil {
		k, changed := a.Known.Watch()
		a.logWrongAddress(k, &address)
		if cluster.NotUniqueReason(k.Snapshot, k.Announced(a.Me)) == "" {
			since = time.Time{}
		} else if since.IsZero() {
			since = time.Now()
		}
		var confirm <-chan time.Time
		if !since.IsZero() {
			confirm = time.After(a.Registrar.Interval - time.Since(since))
		}
		select {
		case <-ctx.Done():
		case <-changed:
		case <-confirm:
			if why := a.confirmNotUnique(ctx, k); why != "" {
				return why
			}
			since = time.Now()
		case why := <-a.notUnique:
			return why
		}
	}
	return ""
}

// confirmNotUnique reads the lock, and returns why this agent gives way by what it read; empty if it does not, or Consul does not
// answer.
func (a *Announcer) confirmNotUnique(ctx context.Context, k known.Snapshot) string {
	v, err := a.Read(ctx)
	if err != nil { // the watch on the lock logs it if it lasts
		return ""
	}
	k.View = v
	return cluster.NotUniqueReason(k.Snapshot, k.Announced(a.Me))
}

// giveWay makes KeepUnique return with that reason.
func (a *Announcer) giveWay(why string) {
	select {
	case a.notUnique <- why:
	default: // an earlier reason is waiting
	}
}

// logWrongAddress logs why our announced address is wrong, once for each reason.
func (a *Announcer) logWrongAddress(k known.Snapshot, logged *logonce.Once) {
	why := k.View.WrongAddressReason(a.Me.ID)
	if why == "" || !logged.Changed(why) {
		return
	}
	a.Log.Warn("the announced address of this member is wrong; it ranks behind members that were in sync, and others cannot "+
		"follow it", "event", "own_address_wrong", "member", a.Me.ID, "addr", k.Announced(a.Me).Address, "why", why)
}
