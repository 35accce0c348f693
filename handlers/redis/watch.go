package redis

import (
	"context"
	"errors"
	"time"
)

// Health is the last known health of a server.
type Health struct {
	Err       error     // why it is unusable; nil if it is usable
	AccessErr error     // it is alive but denies access: Status is the last known one
	LocalErr  error     // this host could not ask it, by a fault of its own: all else is what was known before
	Status    Status    // as last read; zero before the first time
	At        time.Time // start of the probe that read Status: later changes are not in it
}

// Probe says when a server counts as unusable.
type Probe struct {
	Every    time.Duration // between two probes of a usable server
	Timeout  time.Duration // of one probe; the server's own Options.Timeout should be no shorter
	Failures int           // unanswered probes in a row that make it unusable
}

// retryMin is the first pause before an unusable server is probed again; the pause doubles up to Probe.Every.
const retryMin = 100 * time.Millisecond

// maxRejectedPause bounds the pause before a server that rejects our login is probed again. Each probe is a new connection.
const maxRejectedPause = time.Second

// The pause before a command is sent again over a new connection, within one probe. It is short at first, because a server
// that was just killed refuses the next connection. It doubles up to the maximum.
const (
	reconnectDelayMin = maxReconnectDelay / 16
	maxReconnectDelay = 10 * time.Millisecond
)

// Watch reports the server's health until the context ends: at once, every Probe.Every, each time poke receives, and within
// milliseconds of the end of its connection. A connection also ends by CLIENT KILL, a timeout or an ACL change. So its end is
// no verdict: the server is probed again, and only that probe counts.
func (s *Server) Watch(ctx context.Context, p Probe, poke <-chan struct{}, report func(Health)) {
	w := watcher{server: s, probe: p, retry: retryMin, timeout: p.Timeout}
	defer w.conn.close()
	for ctx.Err() == nil {
		began := time.Now()
		st, err := w.look(ctx)
		if ctx.Err() != nil {
			return
		}
		if LocalFault(err) {
			report(w.unasked(err))
			w.wait(ctx, w.backOff(), poke)
			continue
		}
		if !w.conclusive(err) {
			w.conn.close()
			if !sleep(ctx, retryMin) { // a probe that failed early must not be repeated at once
				return
			}
			continue
		}
		w.learn(st, err, began)
		report(w.health)
		w.wait(ctx, w.pause(ctx), poke)
	}
}

// watcher is the state of one Watch. Its goroutine owns it.
type watcher struct {
	server *Server
	probe  Probe
	conn   livenessConn

	health     Health
	unanswered int           // probes in a row
	retry      time.Duration // pause before the next probe of a server that is unusable, or attaching
	timeout    time.Duration // of the next probe
	repliedAt  time.Time     // end of the last probe that the server replied to
}

// look probes the server once. After an unanswered ping the timeout is shorter, for this probe only.
func (w *watcher) look(ctx context.Context) (Status, error) {
	ctx, end := w.conn.probeContext(ctx, w.repliedAt, w.server.opt.confirmTimeout())
	defer end()
	timeout := w.timeout
	w.timeout = w.probe.Timeout
	if w.rejected() {
		return w.server.checkOnce(ctx, timeout)
	}
	return w.server.check(ctx, timeout)
}

// rejected reports whether the server rejected us at the last probe.
func (w *watcher) rejected() bool { return w.health.AccessErr != nil || accessRejected(w.health.Err) }

// conclusive reports whether a probe decides about the health: it does not while a server has left fewer probes unanswered than
// Probe.Failures.
func (w *watcher) conclusive(err error) bool {
	if !Unreachable(err) {
		w.unanswered, w.repliedAt = 0, time.Now()
		return true
	}
	w.unanswered++
	return w.unanswered >= w.probe.Failures
}

// unasked is the health after a probe that failed by a fault of this host's own. Only if nothing was known before is the server
// called unusable.
func (w *watcher) unasked(err error) Health {
	w.health.LocalErr = err
	if w.health.Err == nil && w.health.Status.RunID == "" {
		w.health.Err = err
	}
	return w.health
}

// learn updates the health by a conclusive probe.
func (w *watcher) learn(st Status, err error, began time.Time) {
	known := w.health.Status.RunID != ""
	w.health.AccessErr, w.health.LocalErr = nil, nil
	if accessRejected(err) && known { // clients with a login of their own may still be served
		w.health.AccessErr, err = err, nil
	}
	if st.RunID != "" {
		if st.MasterAddr != w.health.Status.MasterAddr {
			w.retry = retryMin // it has grown since the last master ended
		}
		w.health.Status, w.health.At = st, began
	} else if err == nil && !known {
		err = errNotIdentified
	}
	w.health.Err = err
}

// pause opens or closes the liveness connection and returns how long to wait before the next probe.
func (w *watcher) pause(ctx context.Context) time.Duration {
	switch {
	case errors.Is(w.health.Err, ErrLoading): // it may be usable at any moment
		w.conn.close()
		return retryMin
	case w.health.Err != nil:
		w.conn.close()
		return w.backOff()
	case w.rejected() && w.conn.ended == nil: // it would reject the liveness connection, too
		return min(w.backOff(), maxRejectedPause)
	case w.conn.flapping(): // the server accepts commands but ends each further connection: do not flood it
		w.conn.reset()
		return w.backOff()
	}
	w.conn.open(ctx, w.server)
	if w.attaching() {
		return min(w.backOff(), w.probe.Every)
	}
	w.retry = retryMin
	return w.probe.Every
}

// attaching reports whether the server is a replica that does not receive its master's stream yet. No event says when it
// does, so it is probed sooner.
func (w *watcher) attaching() bool {
	st := w.health.Status
	return !st.Master && !st.Parked() && !st.Streaming()
}

// backOff returns the pause before the next retry, and doubles the one after it.
func (w *watcher) backOff() time.Duration {
	pause := w.retry
	w.retry = min(2*w.retry, w.probe.Every)
	return pause
}

// wait returns after the pause, when poke receives, and when the liveness connection or the context ends.
func (w *watcher) wait(ctx context.Context, pause time.Duration, poke <-chan struct{}) {
	select {
	case <-ctx.Done():
	case <-poke:
	case <-time.After(pause):
	case <-w.conn.ended:
		w.conn.close()
		if w.conn.unanswered.After(w.repliedAt) {
			w.timeout = w.server.opt.confirmTimeout()
		}
	}
}

// sleep reports whether d passed before the context ended.
func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// check probes the server and returns its status, or why it is unusable. A server that replies -BUSY or -MISCONF is usable;
// then the status is zero. An ended connection and a rejection are retried until the timeout: the first is no reply, and
// an operator may change an ACL user in two steps, or a client may leave.
func (s *Server) check(ctx context.Context, timeout time.Duration) (Status, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	st, err := s.Status(ctx)
	for delay := reconnectDelayMin; waitToRetry(ctx, err, delay); delay = min(2*delay, maxReconnectDelay) {
		rejected := accessRejected(err)
		previous := err
		st, err = s.Status(ctx)
		if isTimeout(err) && rejected { // the timeout ended the retries; the rejection is the reply
			err = previous
		}
	}
	return verdict(st, err)
}

// checkOnce is check of a server that has rejected us before. It is asked once, because each try is a new connection.
func (s *Server) checkOnce(ctx context.Context, timeout time.Duration) (Status, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	return verdict(s.Status(ctx))
}

// verdict returns the status of a server that answered, or why it is unusable.
func verdict(st Status, err error) (Status, error) {
	if busy(err) {
		return Status{}, nil
	}
	if err == nil && st.Loading {
		err = ErrLoading
	}
	return st, err
}

// waitToRetry waits before a retry, and reports whether the error is worth one and time is left.
func waitToRetry(ctx context.Context, err error, reconnectDelay time.Duration) bool {
	if accessRejected(err) {
		return sleep(ctx, retryMin)
	}
	return Unreachable(err) && !isTimeout(err) && sleep(ctx, reconnectDelay)
}
