package lock

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/consul/api"

	"resec/commands/cluster"
)

// lockDelayRetries is how often a lock is tried that a session's end has just freed: Consul keeps it back for the session's lock delay,
// which is 1 ms.
const lockDelayRetries = 5

// Preempt ends the session that holds the lock in the view, and takes the lock, as Acquire does. Exactly that session: where the
// lock or the state is not what the view shows any more, nothing is done. ErrMoved: so it was, or another was faster.
func (l Lock) Preempt(ctx context.Context, session string, v cluster.View, s cluster.State) (cluster.View, error) {
	is, err := l.Read(ctx)
	switch {
	case err != nil:
		return v, err
	case errors.Is(is.Err, cluster.ErrNewerVersion):
		return is, is.Err // the session is not destroyed for a lock that could not be acquired
	case !is.SameLock(v):
		return is, fmt.Errorf("end the session %s, which held the lock %s: %w", v.Session, l.Key, ErrChanged)
	}
	end, cancel := context.WithTimeout(ctx, CallTimeout)
	defer cancel()
	if _, err := l.Client.Session().Destroy(is.Session, (&api.WriteOptions{}).WithContext(end)); err != nil {
		return v, fmt.Errorf("end the session %s, which holds the lock %s: %w", is.Session, l.Key, err)
	}
	for try := 1; ; try++ {
		got, err := l.Acquire(ctx, session, is, s)
		if err == nil || !errors.Is(err, ErrChanged) || try == lockDelayRetries {
			return got, err
		}
		select {
		case <-ctx.Done():
			return got, err
		case <-time.After(2 * time.Millisecond):
		}
	}
}
