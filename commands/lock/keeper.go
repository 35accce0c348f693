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
	// Open opens a session; lost is the ID of the one that was lost last, empty if none was. nil: NewSession.
	Open func(ctx context.Context, lost string) (*Session, error)
	// Began is called with each session that was opened.
	Began func(*Session)
	// Ended is called when the session is not renewed any more: because it is lost, or before it is destroyed.
	Ended func(s *Session, lost bool)
	// Verify makes the session renewed at once with each receive. nil: never.
	Verify <-chan struct{}
	// Each receive from Drop destroys the session, and opens the next one: the lock that it holds could not be released. nil: never.
	Drop <-chan struct{}
	// DestroyTimeout bounds the destruction at the end. nil: pace.Timeout.
	DestroyTimeout func() time.Duration
}

// Run keeps a session until the context ends, and then destroys it.
func (k *Keeper) Run(ctx context.Context) {
	lost := ""
	for {
		s := k.open(ctx, lost)
		if s == nil {
			return
		}
		k.Began(s)
		err := s.Keep(ctx, k.Verify, k.Drop, k.Log)
		k.Ended(s, err != nil)
		switch {
		case err == nil:
			timeout := pace.Timeout(ctx)
			if k.DestroyTimeout != nil {
				timeout = k.DestroyTimeout()
			}
			k.destroy(ctx, s, timeout)
			return
		case errors.Is(err, ErrSessionDropped):
			k.destroy(ctx, s, pace.Timeout(ctx))
		default:
			k.Log.Warn("consul session is lost", "event", "session_lost", "session", s.ID, "err", err)
		}
		lost = s.ID
	}
}

// open opens a session as soon as one is wanted, however often that fails. It returns nil when the context ends.
func (k *Keeper) open(ctx context.Context, lost string) *Session {
	var failure logonce.Once
	wait := minOpenRetry
	for ctx.Err() == nil {
		wanted, changed := k.wanted()
		var retry <-chan time.Time
		if wanted {
			s, err := k.openOnce(ctx, lost)
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

func (k *Keeper) openOnce(ctx context.Context, lost string) (*Session, error) {
	if k.Open != nil {
		return k.Open(ctx, lost)
	}
	return k.New(ctx)
}

// New creates a session with the keeper's options, within pace.Timeout. It does so even if the context ends meanwhile, because
// Consul may have created the session already, and its ID is needed to destroy it. It returns the errors of NewSession.
func (k *Keeper) New(ctx context.Context) (*Session, error) {
	return NewSession(context.WithoutCancel(ctx), k.Client, k.Options)
}

func (k *Keeper) destroy(ctx context.Context, s *Session, timeout time.Duration) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), timeout)
	defer cancel()
	err := s.Destroy(ctx)
	if err != nil {
		k.Log.Warn("cannot destroy the consul session; it ends with its TTL", "event", "session_destroy_failed", "session", s.ID,
			"err", err)
	}
}
