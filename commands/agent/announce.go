package agent

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/hashicorp/consul/api"

	"resec/commands/catalog"
	"resec/commands/cluster"
	"resec/commands/failpoint"
	"resec/commands/lock"
	"resec/commands/member"
	"resec/commands/observable"
)

// keepSession keeps a session, which is opened while our Redis is healthy and the check that it depends on is in Consul. A member
// that does not lead has one too, so that it can acquire a free lock with one call.
func (a *Agent) keepSession(ctx context.Context) {
	k := &lock.Keeper{Client: a.Lock.Client, Options: a.Session, Log: a.Log, Verify: a.verifySession,
		DestroyTimeout: a.shutdown.finalCallTimeout,
		Wanted: func() (bool, <-chan struct{}) {
			k, changed := a.known.Watch()
			return k.Registered && k.Probed && k.Health.Err == nil, changed
		},
		Began: func(s *lock.Session) { a.known.Update(func(k *member.Snapshot) { k.SetSession(s) }) },
		Ended: func(*lock.Session, bool) { a.known.Update(func(k *member.Snapshot) { k.SetSession(nil) }) }}
	k.Open = func(ctx context.Context, lost string) (*lock.Session, error) { return a.openSession(ctx, k, lost) }
	k.Run(ctx)
}

// openSession creates a session, or adopts the one that our predecessor left: the session of the lock if that names this member,
// otherwise that of this member's key. It returns an error while it is unknown whether there is one.
func (a *Agent) openSession(ctx context.Context, keeper *lock.Keeper, lost string) (*lock.Session, error) {
	k := a.known.Load()
	prior, holds := priorSession(k.View, a.Me.ID)
	if prior == "" {
		if !k.Fresh {
			return nil, errors.New("the lock has not been read yet")
		}
		return keeper.New(ctx)
	}
	v := k.View
	if prior == lost {
		var err error
		if v, err = a.rereadLost(ctx, lost); err != nil {
			return nil, err
		}
		holds = v.Session == lost
	}
	run := k.Health.Status.RunID
	if why := cmp.Or(a.duplicateMember(ctx), a.idInUse(ctx, v.State.Master, run)); why != "" {
		return nil, errors.New(why)
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
	a.known.Update(func(k *member.Snapshot) { k.Adopted = s.ID })
	observable.Signal(a.verifySession)
	return s, nil
}

// minSessionRetry is the pause between two tries of a call to Consul while the agent leaves.
const minSessionRetry = 100 * time.Millisecond

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
func (a *Agent) rereadLost(ctx context.Context, lost string) (cluster.View, error) {
	v, err := a.observer.Read(ctx)
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

// rewriteAfter is how long a view may take to show what we wrote. No index says whether it should: Consul's index falls when
// Consul has lost its data.
const rewriteAfter = time.Second

// keepMemberKey writes in Consul, under our session, which instance of Redis this agent manages and where: so the master's
// agent knows which member to record, and a holder knows to which session the lock can be transferred. It also
// keeps what the operator had set before we changed anything, for the next agent of this member.
func (a *Agent) keepMemberKey(ctx context.Context) {
	var written cluster.MemberKey
	var at time.Time
	ours := false // the key is, or may be, in Consul
	defer func() {
		if ours && !a.shutdown.guardLeftBehind.Load() { // otherwise the next agent needs what the operator had
			a.deleteMemberKey(ctx)
		}
	}()
	for ctx.Err() == nil {
		k, changed := a.known.Watch()
		if own := k.Operator.Discover(k.Snapshot, a.Me.ID); own != k.Operator {
			a.known.Update(func(k *member.Snapshot) { k.Operator = own })
			continue
		}
		var again <-chan time.Time
		want, shown := cluster.OwnMemberKey(k.Snapshot, a.Me), k.View.LiveAgents[a.Me.ID]
		ours = ours || want.Session != "" && shown.Session == want.Session // our predecessor's, whose session we have adopted
		if want.Session != "" && k.Fresh && shown != want {
			if want != written || time.Since(at) >= rewriteAfter {
				written, at, ours = want, time.Now(), true
				a.writeMemberKey(ctx, want)
			}
			again = time.After(rewriteAfter - time.Since(at))
		}
		select {
		case <-ctx.Done():
		case <-changed:
		case <-again:
		}
	}
}

func (a *Agent) writeMemberKey(ctx context.Context, key cluster.MemberKey) {
	if err := a.Lock.PutMember(context.WithoutCancel(ctx), key); err != nil {
		a.Log.Debug("cannot write the member key, retrying", "event", "member_key_failed", "err", err)
		observable.Signal(a.verifySession) // the session may be lost
		return
	}
	failpoint.Hit("joined")
}

func (a *Agent) deleteMemberKey(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), a.shutdown.finalCallTimeout())
	defer cancel()
	if err := a.Lock.DeleteMember(ctx, a.Me.ID); err != nil {
		a.Log.Warn("cannot delete the member key; it goes with its session", "event", "member_key_left",
			"member", a.Me.ID, "err", err)
	}
}

// advertise makes the catalogue show what this member is. term is the term in which our Redis is master, 0 if it is not.
func (a *Agent) advertise(k member.Snapshot, term uint64) {
	if !k.Probed || !k.Fresh {
		return
	}
	e := catalog.EntryOf(k.Snapshot, term, a.Me.ID)
	a.setAdvertised(e)
	a.Registrar.Set(e)
}

// setAdvertised notes what is shown of this member, for systemd and for a state dump.
func (a *Agent) setAdvertised(e catalog.Entry) {
	if was := a.advertised.Load(); was.Role != e.Role || was.Status != e.Status || was.Output != e.Output {
		a.advertised.Update(func(now *catalog.Entry) { *now = e })
	}
}

// confirmMaster returns nil if a master's entry may still be registered: another member may be listed by now. It returns
// errNotHolder if another member is the master, and the error of Consul's servers if they do not answer.
func (a *Agent) confirmMaster(ctx context.Context, e catalog.Entry) error {
	if e.Role != catalog.Master {
		return nil
	}
	v, err := a.observer.Read(ctx)
	var status api.StatusError
	if errors.As(err, &status) { // a Consul agent without servers: no other agent learns of it until it has them
		return nil
	}
	if err != nil {
		return err
	}
	if m := v.State.Master; !v.Free() && v.Holder != a.Me.ID || m != nil && m.ID != a.Me.ID {
		return errNotHolder
	}
	return nil
}
