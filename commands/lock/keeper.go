package lock

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/hashicorp/consul/api"

	"resec/commands/logonce"
	"resec/commands/pace"
)

// minOpenRetry and maxOpenRetry bound the pause after a session could not be opened; it doubles. The first is short, because a
// new check needs a moment to reach Consul's servers.
const minOpenRetry, maxOpenRetry = 100 * time.Millisecond, time.Second

// Keeper keeps a Consul session: it opens one, renews it, and opens the next when it is lost.
type Keeper struct {
	Client  *api.Client
	Options SessionOptions
	Log     *slog.Logger

	// Wanted reports whether a session shall be opened now, and returns a channel that is closed when the answer may have
	// changed. It does not end an open session. nil: always.
	Wanted func() (bool, <-chan struct{})
	// Open opens a session. lost is the ID of the one that was lost last, empty if none was; dropped: it was given up, and must not
	// be used again. nil: NewSession.
	Open func(ctx context.Context, lost string, dropped bool) (*Session, error)
	// Began is called with each session that was opened.
	Began func(*Session)
	// Ended is called when the session is not renewed any more: because it is lost, or before it is destroyed.
	Ended func(s *Session, lost bool)
	// Verify makes the session renewed at once with each receive. nil: never.
	Verify <-chan struct{}
	// Drop receives the ID of a session that is destroyed, after which the next one is opened: the lock that it holds could not be
	// released. Another ID is ignored. nil: never.
	Drop <-chan string
	// DestroyTimeout bounds the destruction at the end. nil: pace.Timeout.
	DestroyTimeout func() time.Duration
}

// Run keeps a session until the context ends, and then destroys it.
func (k *Keeper) Run(ctx context.Context) {
	lost, dropped := "", false
	for {
		s := k.open(ctx, lost, dropped)
		if s == nil {
			return
		}
		k.Began(s)
		err := s.Keep(ctx, k.Verify, k.Drop, k.Log)
		k.Ended(s, err != nil)
		lost, dropped = s.ID, errors.Is(err, ErrSessionDropped)
		switch {
		case err == nil:
			k.destroy(ctx, s, k.last(ctx))
			return
		case dropped:
			k.destroy(ctx, s, pace.Timeout(ctx))
		default:
			k.Log.Warn("consul session is lost", "event", "session_lost", "session", s.ID, "err", err)
		}
	}
}

// last bounds a last call.
func (k *Keeper) last(ctx context.Context) time.Duration {
	if k.DestroyTimeout != nil {
		return k.DestroyTimeout()
	}
	return pace.Timeout(ctx)
}

// open opens a session as soon as one is wanted, however often that fails. It returns nil when the context ends.
func (k *Keeper) open(ctx context.Context, lost string, dropped bool) *Session {
	var failure logonce.Once
	wait := minOpenRetry
	for ctx.Err() == nil {
		wanted, changed := k.wanted()
		var retry <-chan time.Time
		if wanted {
			s, err := k.openOnce(ctx, lost, dropped)
			if err == nil {
				return s
			}
			if ctx.Err() == nil && failure.Changed(ErrorKind(err)) {
				k.Log.Warn("cannot open a consul session, retrying", "event", "session_open_failed", "err", err)
			}
			retry, changed = time.After(wait), nil
			wait = min(2*wait, maxOpenRetry)
		}
		select {
		case <-ctx.Done():
		case <-retry:
		case <-changed:
		}
	}
	return nil
}

func (k *Keeper) wanted() (bool, <-chan struct{}) {
	if k.Wanted == nil {
		return true, nil
	}
	return k.Wanted()
}

func (k *Keeper) openOnce(ctx context.Context, lost string, dropped bool) (*Session, error) {
	if k.Open != nil {
		return k.Open(ctx, lost, dropped)
	}
	return k.New(ctx)
}

// New creates a session with the keeper's options, within pace.Timeout. If the context ends meanwhile it has the time of a last
// call, because Consul may have created the session already, and its ID is needed to destroy it. It returns the errors of
// NewSession.
func (k *Keeper) New(ctx context.Context) (*Session, error) {
	bounded, cancel := k.outlast(ctx)
	defer cancel()
	return NewSession(bounded, k.Client, k.Options)
}

// outlast is a context that outlasts ctx by a last call.
func (k *Keeper) outlast(ctx context.Context) (context.Context, context.CancelFunc) {
	bounded, cancel := context.WithCancel(context.WithoutCancel(ctx))
	unhook := context.AfterFunc(ctx, func() { time.AfterFunc(k.last(bounded), cancel) })
	return bounded, func() { unhook(); cancel() }
}

// destroy ends a session within a time, and within that of a last call once the context has ended.
func (k *Keeper) destroy(ctx context.Context, s *Session, timeout time.Duration) {
	ctx, end := k.outlast(ctx)
	defer end()
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	err := s.Destroy(ctx)
	if err != nil {
		k.Log.Warn("cannot destroy the consul session; it ends with its TTL", "event", "session_destroy_failed", "session", s.ID,
			"err", err)
	}
}
