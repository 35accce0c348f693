package agent

import (
	"context"
	"time"

	"resec/commands/lock"
)

// sayAgain is how long a view may take to show what we said. No index tells whether it should: Consul's falls when it has
// lost its data.
const sayAgain = time.Second

// keepPresence says in Consul, under our session, which run of Redis we stand beside and where: so the master's agent
// knows whom to record, and a holder to whom the lock can be passed.
func (a *Agent) keepPresence(ctx context.Context) {
	var said lock.Present
	var at time.Time
	defer func() {
		if at.IsZero() {
			return
		}
		if err := a.Lock.Part(context.WithoutCancel(ctx), a.Me.ID); err != nil {
			a.Log.Warn("the member's key is left", "err", err)
		}
	}()
	for ctx.Err() == nil {
		k, changed := a.board.Wait()
		var again <-chan time.Time
		if say := presence(k, a.Me); say.Session != "" && k.view.Index != 0 && k.view.Members[a.Me.ID] != say {
			if say != said || time.Since(at) >= sayAgain {
				said, at = say, time.Now()
				if err := a.Lock.Join(ctx, say); err != nil {
					a.Log.Debug("our presence could not be said", "err", err)
					poke(a.doubt) // the session may be gone
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
	if k.session == nil || k.health.Status.RunID == "" {
		return lock.Present{}
	}
	return lock.Present{Session: k.session.ID, RunID: k.health.Status.RunID, Address: me.Address}
}
