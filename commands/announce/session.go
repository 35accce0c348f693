package announce

import (
	"cmp"
	"context"
	"errors"

	"resec/commands/cluster"
	"resec/commands/known"
	"resec/commands/lock"
	"resec/commands/observable"
)

// KeepSession keeps a session, which is opened while our Redis is healthy and the check that it depends on is in Consul. A member
// that does not lead has one too, so that it can acquire a free lock with one call. It returns when the context ends, and the
// session is destroyed.
func (a *Announcer) KeepSession(ctx context.Context) {
	k := &lock.Keeper{Client: a.Lock.Client, Options: a.Session, Log: a.Log, Verify: a.Verify, Drop: a.Drop,
		DestroyTimeout: a.FinalCallTimeout,
		Wanted: func() (bool, <-chan struct{}) {
			k, changed := a.Known.Watch()
			return k.Registered && k.Probed && k.Health.Err == nil, changed
		},
		Began: func(s *lock.Session) { a.Known.Update(func(k *known.Snapshot) { k.SetSession(s) }) },
		Ended: func(*lock.Session, bool) { a.Known.Update(func(k *known.Snapshot) { k.SetSession(nil) }) }}
	k.Open = func(ctx context.Context, lost string, dropped bool) (*lock.Session, error) {
		if dropped {
			return a.openAfterDrop(ctx, k, lost)
		}
		return a.openSession(ctx, k, lost)
	}
	k.Run(ctx)
}

// openSession creates a session, or adopts the one that our predecessor left: the session of the lock if that names this member,
// otherwise that of this member's key. It returns an error while it is unknown whether there is one, and if another process is
// this member.
func (a *Announcer) openSession(ctx context.Context, keeper *lock.Keeper, lost string) (*lock.Session, error) {
	k := a.Known.Load()
	prior, holds := priorSession(k.View, a.Me.ID)
	if prior == "" && !k.Fresh {
		return nil, errors.New("the lock has not been read yet")
	}
	if prior == "" && lost != "" {
		return keeper.New(ctx)
	}
	v := k.View
	if prior != "" && prior == lost {
		var err error
		if v, err = a.rereadLost(ctx, lost); err != nil {
			return nil, err
		}
		holds = v.Session == lost
	}
	run := k.Health.Status.RunID
	if err := a.checkUnique(ctx, v, run); err != nil {
		return nil, err
	}
	if prior == "" {
		return keeper.New(ctx)
	}
	s := lock.Adopt(a.Lock.Client, prior, a.Session)
	if holds && prior != lost && !publishes(v, a.Me.ID, run) {
		if err := s.Destroy(ctx); err != nil {
			return nil, err
		}
		a.Log.Info("predecessor held the lock for another redis instance; destroyed its session",
			"event", "predecessor_session_destroyed", "session", s.ID)
		return keeper.New(ctx)
	}
	a.Log.Info("adopted the predecessor's session", "event", "session_adopted", "session", s.ID, "holds_lock", holds)
	a.Known.Update(func(k *known.Snapshot) { k.Adopted = s.ID })
	observable.Signal(a.Verify)
	return s, nil
}

// openAfterDrop is openSession after ours was given up. It must not be adopted: what it holds would never be released. While
// Consul shows that it holds the lock, or our key, it is destroyed again.
func (a *Announcer) openAfterDrop(ctx context.Context, keeper *lock.Keeper, dropped string) (*lock.Session, error) {
	v, err := a.Read(ctx)
	if err != nil {
		return nil, err
	}
	if v.Session == dropped || v.LiveAgents[a.Me.ID].Session == dropped {
		err := lock.Adopt(a.Lock.Client, dropped, a.Session).Destroy(ctx)
		return nil, errors.Join(errors.New("the session that was given up has not ended"), err)
	}
	return a.openSession(ctx, keeper, "")
}

// checkUnique returns an error if another process is this member, or if that is unknown. If it is the older one, this agent gives
// way, unless its Redis is published, or it has moved: then the entry may be what it left at its former node.
func (a *Announcer) checkUnique(ctx context.Context, v cluster.View, run string) error {
	entries, err := a.Registrar.Naming.Instances(ctx, a.Lock.Client)
	if err != nil {
		return err
	}
	me := a.Known.Load().Announced(a.Me)
	own := ownIndex(entries, me)
	why := cmp.Or(a.idInUse(ctx, v, run), newerDuplicate(entries, me, own))
	if why == "" {
		return nil
	}
	stays := publishes(v, a.Me.ID, run) || me.Node != a.Me.Node
	if own != 0 && !stays { // if our place is registered under another id, the member keys will say which of the two stays
		a.giveWay(why)
	}
	return errors.New(why)
}

// priorSession returns the session of the lock if its holder is this member, otherwise that of this member's key, and reports
// whether it holds the lock. It returns an empty ID if there is neither.
func priorSession(v cluster.View, id string) (session string, holds bool) {
	if !v.Free() && v.Holder == id {
		return v.Session, true
	}
	return v.LiveAgents[id].Session, false
}

// publishes reports whether the published master is this member's Redis instance.
func publishes(v cluster.View, id, run string) bool {
	m := v.State.Master
	return m != nil && m.ID == id && m.RunID == run
}

// rereadLost reads the lock, because the view still shows a session that Consul reported as lost. It returns an error if the
// session does not hold anything any more.
func (a *Announcer) rereadLost(ctx context.Context, lost string) (cluster.View, error) {
	v, err := a.Read(ctx)
	if err != nil {
		return v, err
	}
	if v.Session != lost && v.LiveAgents[a.Me.ID].Session != lost {
		return v, errors.New("the watch still shows the session that was lost")
	}
	a.Log.Warn("session reported lost is valid again (consul's server was still replaying its log); reusing it",
		"event", "lost_session_valid", "session", lost)
	return v, nil
}
