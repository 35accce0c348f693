package lock

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/consul/api"

	"resec/commands/cluster"
	"resec/commands/pace"
)

// lockDelayRetries is how often Preempt tries to acquire the lock after it destroyed the holder's session. Consul keeps the lock
// back for that session's lock delay, which is 1 ms. The time between two tries is lockDelayPause.
const lockDelayRetries, lockDelayPause = 5, 2 * time.Millisecond

// Preempt destroys the session that holds the lock in v, and acquires the lock as Acquire does. It destroys no other session. If
// a consistent read shows that the lock or the state is not as in v, it returns that read's view and ErrChanged, and changes
// nothing. It also returns ErrChanged if another member acquired the lock first, ErrDenied if the token does not suffice, and any
// error of the calls; the session may be destroyed then.
func (l Lock) Preempt(ctx context.Context, session string, v cluster.View, s cluster.State) (cluster.View, error) {
	now, err := l.Read(ctx)
	if err != nil {
		return v, err
	}
	if errors.Is(now.Err, cluster.ErrNewerVersion) {
		return now, now.Err // the session is not destroyed for a lock that cannot be acquired
	}
	if !now.SameLock(v) {
		return now, fmt.Errorf("destroy the session %s, which held the lock %s: %w", v.Session, l.Key, ErrChanged)
	}
	destroy, end := pace.Begin(ctx)
	_, err = l.Client.Session().Destroy(now.Session, (&api.WriteOptions{}).WithContext(destroy))
	if end(err); err != nil {
		return v, fmt.Errorf("destroy the session %s, which holds the lock %s: %w", now.Session, l.Key, err)
	}
	for try := 1; ; try++ {
		got, err := l.Acquire(ctx, session, now, s)
		if !errors.Is(err, ErrChanged) || try == lockDelayRetries {
			return got, err
		}
		select {
		case <-ctx.Done():
			return got, err
		case <-time.After(lockDelayPause):
		}
	}
}
