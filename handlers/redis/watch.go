package redis

import (
	"context"
	"errors"
	"time"
)

// Health is what was last learned of a server.
type Health struct {
	Err       error     // why it is unusable; nil when it is usable
	AccessErr error     // it lives, and does not let us in: nothing newer is known of it
	Status    Status    // as last read: empty before the first time
	At        time.Time // when the look that read it began: what was changed later does not show
}

// Probe says when a server counts as unusable.
type Probe struct {
	Every    time.Duration // between two looks, while all is well
	Timeout  time.Duration // of one look; the server's own Options.Timeout should be no shorter
	Failures int           // silent looks in a row that make it unusable
}

// retryMin is the first pause before an unusable server is asked again; it doubles up to Probe.Every.
const retryMin = 100 * time.Millisecond

// maxReconnectDelay is the longest pause after a connection that ended instead of an answer; the first is short, for a server that has just
// been killed refuses the next one.
const maxReconnectDelay = 10 * time.Millisecond

// Watch reports the server's health until the context ends: at once, every Probe.Every, whenever poke receives, and
// within milliseconds of its connection's end. The end of a connection is a question, not an answer (CLIENT KILL, a
// timeout and an ACL change end connections too): the server is asked again, and only what it says then counts.
func (s *Server) Watch(ctx context.Context, p Probe, poke <-chan struct{}, report func(Health)) {
	var last Health
	var line livenessConn
	defer line.close()
	silent, wait, bound, answered := 0, retryMin, p.Timeout, time.Time{}
	for ctx.Err() == nil {
		began := time.Now()
		looking, end := line.lookContext(ctx, answered, s.opt.confirmTimeout())
		st, err := s.check(looking, bound)
		end()
		bound = p.Timeout
		if ctx.Err() != nil {
			return
		}
		last.AccessErr = nil
		if accessDenied(err) && last.Status.RunID != "" { // a password that was changed is no reason to take a master from its clients
			last.AccessErr, err = err, nil
		}
		if !Unreachable(err) {
			silent, answered = 0, time.Now()
		} else if silent++; silent < p.Failures {
			line.close()               // it counts once
			if !sleep(ctx, retryMin) { // a silence need not take the time of a timeout
				return
			}
			continue
		}
		if st.RunID != "" {
			last.Status, last.At = st, began
		} else if err == nil && last.Status.RunID == "" {
			err = errNotIdentified
		}
		last.Err = err
		report(last)
		pause := p.Every
		switch {
		case errors.Is(err, ErrLoading): // it will be usable at any moment
			line.close()
			pause = retryMin
		case err != nil:
			line.close()
			pause, wait = wait, min(2*wait, p.Every)
		case line.flapping(): // Redis serves us, and ends each further connection: no reason to flood it
			pause, wait = wait, min(2*wait, p.Every)
			line.reset()
		default:
			line.open(ctx, s)
			wait = retryMin
		}
		select {
		case <-ctx.Done():
		case <-poke:
		case <-time.After(pause):
		case <-line.gone:
			if line.close(); line.unanswered.After(answered) { // no look was answered since
				bound = s.opt.confirmTimeout()
			}
		}
	}
}

// errNotIdentified is said of a server that is busy, and has not told yet who it is.
var errNotIdentified = errors.New("it is busy, and has not said yet who it is")

func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// check asks whether the server is usable. -BUSY and -MISCONF are answers of a usable server. A connection that ends is no
// answer, however often: the server is silent only when it has not answered for the whole timeout. Nor is a login that is
// refused an answer at once, for whoever changes an ACL user may do so in two steps.
func (s *Server) check(ctx context.Context, timeout time.Duration) (Status, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	st, err := s.Status(ctx)
	for pause := maxReconnectDelay / 16; Unreachable(err) && !isTimeout(err) && sleep(ctx, pause) || accessDenied(err) && sleep(ctx, retryMin); pause = min(2*pause, maxReconnectDelay) {
		refused := err
		if st, err = s.Status(ctx); isTimeout(err) && accessDenied(refused) {
			err = refused
		}
	}
	if alive(err) {
		return Status{}, nil
	}
	if err == nil && st.Loading {
		err = ErrLoading
	}
	return st, err
}
