// Package known is what one agent knows at one moment, as the rooms of an agent share it.
//
// It owns the type of the snapshot, not its content: each field has its own writer, and README.md of commands/agent names it.
// WatchPause is its one goroutine, which the agent starts. It writes Paused when a pause ends by itself.
package known

import (
	"time"

	"resec/commands/cluster"
	"resec/commands/lock"
	"resec/commands/observable"
)

// Snapshot is all that the agent knows at one moment.
type Snapshot struct {
	cluster.Snapshot
	Session *lock.Session // ours; nil: there is none
}

// Value is the snapshot that watchers update and all rooms of an agent read.
type Value = observable.Value[Snapshot]

// SetSession notes our session; nil: there is none.
func (k *Snapshot) SetSession(s *lock.Session) {
	k.Session, k.SessionID = s, ""
	if s != nil {
		k.SessionID = s.ID
	}
}

// LeaseLeft is how long we may still act as the holder of our session; 0 without one.
func (k Snapshot) LeaseLeft(now time.Time) time.Duration {
	if k.Session == nil {
		return 0
	}
	return k.Session.Lease.Left(now)
}

// EndsRetryPause reports whether a change of the snapshot ends the pause after a step that failed: the lock has changed, an
// operator asks, or the master that could not be stopped is down. After a takeover that failed, the attempts of other members do
// not: each of them would otherwise try again whenever another one has failed.
func (k Snapshot) EndsRetryPause(was Snapshot, failedTakeover bool) bool {
	switch {
	case k.Session != was.Session, k.View.AskedSince(was.View), k.Failure.Down && !was.Failure.Down:
		return true
	case k.SameLock(was):
		return false
	case !failedTakeover, k.Fresh != was.Fresh, k.HoldsLock():
		return true
	}
	return !k.View.OnlyHolderChanged(was.View)
}

// SameLock reports whether the lock and the state are as they were. After an outage of Consul nothing is known to be as it was.
func (k Snapshot) SameLock(was Snapshot) bool {
	return k.Fresh == was.Fresh && k.View.SameLock(was.View)
}
