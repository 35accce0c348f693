package agent

import (
	"context"

	"resec/commands/takeover"
)

// revoke ends the take-over or reign under way, if the session that it is under is one of those.
func (a *Agent) revoke(which func(session string) bool) {
	a.leadership.Lock()
	defer a.leadership.Unlock()
	if a.leadership.session != "" && which(a.leadership.session) {
		a.leadership.cancel(takeover.ErrLost)
	}
}

// isLeading tells whether a take-over or a reign of ours is under way.
func (a *Agent) isLeading() bool {
	a.leadership.Lock()
	defer a.leadership.Unlock()
	return a.leadership.session != ""
}

// leadershipContext is a context for what is done as the holder of a session's lock: it ends when that is lost, and has ended where it
// was lost since the caller looked.
func (a *Agent) leadershipContext(ctx context.Context, session string) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	a.leadership.Lock()
	a.leadership.session, a.leadership.cancel = session, cancel
	a.leadership.Unlock()
	if v := a.known.Load().View; v.Index != 0 && v.Session != session {
		cancel(takeover.ErrLost)
	}
	return ctx, func() {
		a.leadership.Lock()
		defer a.leadership.Unlock()
		a.leadership.session = ""
		cancel(nil)
	}
}
