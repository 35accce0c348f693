package announce

import (
	"context"
	"errors"
	"time"

	"github.com/hashicorp/consul/api"

	"resec/commands/catalog"
	"resec/commands/known"
	"resec/commands/lock"
)

// KeepRegistered registers the service with what Advertise said last, and updates its check. It deregisters the service when the
// context ends.
func (a *Announcer) KeepRegistered(ctx context.Context) {
	r := a.Registrar
	r.Updated, r.Confirm, r.DeregisterTimeout = a.noteUpdated, a.confirmMaster, a.FinalCallTimeout
	r.MayBeAnothers, r.Leaving = a.sharesEntry.Load, a.Leaving
	if err := r.Run(ctx); err != nil {
		a.Log.Warn("cannot deregister the service; it stays in the catalogue until its check has been critical for long",
			"event", "deregister_failed", "err", err)
	}
}

// noteUpdated notes that the check is in Consul, and until when it lasts: our session depends on it.
func (a *Announcer) noteUpdated(sent time.Time, ttl time.Duration) {
	a.Session.CheckDeadline.Extend(sent, ttl)
	if !a.Known.Load().Registered {
		a.Known.Update(func(k *known.Snapshot) { k.Registered = true })
	}
}

// Advertise makes the catalogue show what this member is. term is the term in which our Redis is master, 0 if it is not.
func (a *Announcer) Advertise(k known.Snapshot, term uint64) {
	if !k.Probed || !k.Fresh {
		return
	}
	e := catalog.EntryOf(k.Snapshot, term, a.Me.ID)
	a.setAdvertised(e)
	a.Registrar.Set(e)
}

// setAdvertised notes what is shown of this member, for systemd and for a state dump.
func (a *Announcer) setAdvertised(e catalog.Entry) {
	if was := a.Advertised.Load(); was.Role != e.Role || was.Status != e.Status || was.Output != e.Output {
		a.Advertised.Update(func(now *catalog.Entry) { *now = e })
	}
}

// confirmMaster returns nil if a master's entry may still be registered: another member may be listed by now. It returns
// lock.ErrNotHolder if another member is the master, and the error of Consul's servers if they do not answer.
func (a *Announcer) confirmMaster(ctx context.Context, e catalog.Entry) error {
	if e.Role != catalog.Master {
		return nil
	}
	v, err := a.Read(ctx)
	var status api.StatusError
	if errors.As(err, &status) { // a Consul agent without servers: no other agent learns of it until it has them
		return nil
	}
	if err != nil {
		return err
	}
	if m := v.State.Master; !v.Free() && v.Holder != a.Me.ID || m != nil && m.ID != a.Me.ID {
		return lock.ErrNotHolder
	}
	return nil
}
