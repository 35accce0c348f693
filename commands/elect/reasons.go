package elect

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"resec/commands/cluster"
	"resec/handlers/redis"
)

// misconfigured returns an error if this member can never lead the cluster of this lock. It returns cluster.ErrConflict if the
// key is no lock, and cluster.ErrOtherCluster if the lock belongs to the cluster of another service. It returns redis.ErrTooOld
// or redis.ErrClusterMode if Redis is one that resec cannot manage.
func (k snapshot) misconfigured(service string) error {
	if errors.Is(k.View.Err, cluster.ErrConflict) {
		return k.View.Err
	}
	if err := k.View.CheckService(service); err != nil {
		return err
	}
	if redis.Unsupported(k.Health.Err) {
		return k.Health.Err
	}
	return nil
}

// notContendingReason returns why the lock should not be acquired now; empty if it should. A child is started whatever Redis and
// an operator's pause say.
func (k snapshot) notContendingReason(child bool, now time.Time) string {
	switch {
	case !k.Fresh:
		return "consul has not answered yet"
	case k.View.Err != nil:
		return k.View.Err.Error()
	case k.View.Pause.Active(now) && !child:
		return "the cluster is " + k.View.Pause.String()
	case !k.View.Free() && !k.holdsLock():
		return "the lock is held by " + cmp.Or(k.View.Holder, "an unnamed session")
	case k.session == nil:
		return "there is no session yet"
	case child:
		return ""
	}
	return k.redisUnusableReason()
}

// holdsLock reports whether our session holds the lock, with a state that can be read.
func (k snapshot) holdsLock() bool {
	return k.Fresh && k.View.Err == nil && k.session != nil && k.View.Session == k.session.ID
}

// redisUnusableReason returns why our Redis must not be promoted; empty if it may be.
func (k snapshot) redisUnusableReason() string {
	switch {
	case !k.Probed:
		return "redis has not answered yet"
	case k.Health.Err != nil:
		return "redis is unusable: " + redis.Summary(k.Health.Err)
	case k.Health.Status.Syncing:
		return "redis is syncing"
	case k.Health.Status.Priority == 0 && !k.Health.Status.Master: // it is about promotions
		return "its replica-priority is 0"
	}
	return ""
}

// redisLost returns why our Redis is no longer the one that this term promoted, which was the instance runID; nil if it is.
func (k snapshot) redisLost(runID string) error {
	h := k.Health
	if h.Err != nil {
		return fmt.Errorf("redis is unusable: %w", h.Err)
	}
	if h.Status.RunID != runID {
		return errors.New("redis was restarted: it is a new instance")
	}
	// A probe that began before the promotion shows a replica.
	if !k.promotedAt.IsZero() && h.At.After(k.promotedAt) && !h.Status.Master {
		return fmt.Errorf("redis was made a replica of %s", h.Status.MasterAddr)
	}
	return nil
}
