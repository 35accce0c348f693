package agent

import (
	"context"

	"resec/commands/elect"
)

// lost ends the take-over or reign under way, if the session that it is under is one of those.
func (a *Agent) lost(which func(session string) bool) {
	a.losing.Lock()
	defer a.losing.Unlock()
	if a.losing.session != "" && which(a.losing.session) {
		a.losing.cancel(elect.ErrLost)
	}
}

// leading tells whether a take-over or a reign of ours is under way.
func (a *Agent) leading() bool {
	a.losing.Lock()
	defer a.losing.Unlock()
	return a.losing.session != ""
}

// hold is a context for what is done as the holder of a session's lock: it ends when that is lost, and has ended where it
// was lost since the caller looked.
func (a *Agent) hold(ctx context.Context, session string) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	a.losing.Lock()
	a.losing.session, a.losing.cancel = session, cancel
	a.losing.Unlock()
	if v := a.board.Get().view; v.Index != 0 && v.Session != session {
		cancel(elect.ErrLost)
	}
	return ctx, func() {
		a.losing.Lock()
		defer a.losing.Unlock()
		a.losing.session = ""
		cancel(nil)
	}
}
