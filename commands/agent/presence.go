package agent

import (
	"context"
	"time"

	"resec/commands/crash"
	"resec/commands/lock"
)

// sayAgain is how long a view may take to show what we said. No index tells whether it should: Consul's falls when it has
// lost its data.
const sayAgain = time.Second

// keepPresence says in Consul, under our session, which run of Redis we stand beside and where: so the master's agent
// knows whom to record, and a holder to whom the lock can be passed. With it stands what the operator had set before we
// changed anything, for whoever is this member's agent next.
func (a *Agent) keepPresence(ctx context.Context) {
	var said lock.Present
	var at time.Time
	ours := false // the key, or it may be
	defer func() {
		if !ours || a.guarded.Load() { // whoever comes next is to know what the operator had
			return
		}
		bye, cancel := context.WithTimeout(context.WithoutCancel(ctx), a.bye())
		defer cancel()
		if err := a.Lock.Part(bye, a.Me.ID); err != nil {
			a.Log.Warn("the member's key is left", "err", err)
		}
	}()
	for ctx.Err() == nil {
		k, changed := a.board.Wait()
		if mine := k.found.learn(k, a.Me.ID); mine != k.found {
			a.board.Learn(func(k *known) { k.found = mine })
			continue
		}
		var again <-chan time.Time
		say := presence(k, a.Me)
		ours = ours || say.Session != "" && k.view.Members[a.Me.ID].Session == say.Session // our predecessor's, whose session we have
		if say.Session != "" && k.view.Index != 0 && k.view.Members[a.Me.ID] != say {
			if say != said || time.Since(at) >= sayAgain {
				said, at, ours = say, time.Now(), true
				if err := a.Lock.Join(context.WithoutCancel(ctx), say); err != nil {
					a.Log.Debug("our presence could not be said", "err", err)
					poke(a.doubt) // the session may be gone
				} else {
					crash.At("joined")
				}
			}
			again = time.After(sayAgain - time.Since(at))
		}
		select {
		case <-ctx.Done():
		case <-changed:
		case <-again:
		}
	}
}

// presence is what is to be said; without a session nothing.
func presence(k known, me lock.Master) lock.Present {
	if k.session == nil || k.health.Status.RunID == "" || k.found.run != k.health.Status.RunID {
		return lock.Present{}
	}
	return lock.Present{Session: k.session.ID, RunID: k.health.Status.RunID, Address: me.Address, Own: k.found.Setting}
}

// found is the operator's guard on our Redis, as a run of it had it.
type found struct {
	run string // empty: not known yet
	lock.Setting
}

// learn is the operator's guard once Redis and Consul have answered: what our predecessor noted of this run, or else what is
// set, or under a fence was.
func (o found) learn(k known, id string) found {
	st := k.health.Status
	if k.view.Index == 0 || st.RunID == "" || st.RunID == o.run {
		return o
	}
	if p, noted := k.view.Members[id]; noted && p.RunID == st.RunID {
		return found{st.RunID, p.Own}
	}
	return found{st.RunID, lock.Setting{Replicas: st.Unfenced(), MaxLag: st.MaxLag}}
}

// noted tells whether the operator's guard stands in Consul, so that it is not lost with this process.
func (o found) noted(k known, id string) bool {
	p := k.view.Members[id]
	return o.run != "" && p.RunID == o.run && p.Own == o.Setting
}
