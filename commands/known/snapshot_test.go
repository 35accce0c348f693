package known_test

import (
	"testing"

	"resec/commands/cluster"
	"resec/commands/cluster/clustertest"
	"resec/commands/expect"
	"resec/commands/known"
	"resec/commands/known/knowntest"
	"resec/commands/lock"
	"resec/handlers"
)

// Members that fail one after the other do not wake each other: each keeps to its own pause, which doubles.
func TestSnapshot_EndsRetryPause(t *testing.T) {
	was := knowntest.Situation(clustertest.LockFree)
	for name, tt := range map[string]struct {
		change func(*known.Snapshot)
		want   bool
	}{
		"another member tries":      {func(k *known.Snapshot) { k.View.LockIndex++; k.View.Session, k.View.Holder = "b's", "b" }, false},
		"another member has failed": {func(k *known.Snapshot) { k.View.LockIndex += 2; k.View.StateIndex += 2 }, false},
		"another member is published": {func(k *known.Snapshot) {
			k.View.State.Master = &cluster.Master{Peer: handlers.Peer{ID: "b", Term: 5}}
			k.View.StateIndex++
		}, true},
		"the master is back":            {func(k *known.Snapshot) { k.View.LockIndex++; k.View.Session, k.View.Holder = "a's", "a" }, true},
		"the lock is transferred to us": {func(k *known.Snapshot) { k.View.Session, k.View.Holder = k.SessionID, "me" }, true},
		"our session is new":            {func(k *known.Snapshot) { k.Session = &lock.Session{ID: "new"} }, true},
		"an operator asks":              {func(k *known.Snapshot) { k.View.Request = &cluster.Request{To: "me", Session: "o"} }, true},
		"the master is down":            {func(k *known.Snapshot) { k.Failure = cluster.MasterFailure{RunID: "run-a", Down: true} }, true},
		"the master is silent":          {func(k *known.Snapshot) { k.Failure = cluster.MasterFailure{RunID: "run-a", Unreachable: true} }, false},
		"our redis was probed":          {func(k *known.Snapshot) { k.Health.Status.Keys++ }, false},
		"consul is back":                {func(k *known.Snapshot) { k.Fresh = !k.Fresh }, true},
	} {
		now := was
		tt.change(&now)
		expect.Equal(t, name, now.EndsRetryPause(was, true), tt.want)
	}
	now := was
	now.View.LockIndex++
	expect.Equal(t, "after another step", now.EndsRetryPause(was, false), true)
	was.View.Session, was.View.Holder = "a's", "a"
	expect.Equal(t, "the master holds the lock, and nothing changed", was.EndsRetryPause(was, true), false)
	was.View.Err = cluster.ErrNewerVersion
	expect.Equal(t, "the state cannot be read, and nothing changed", was.EndsRetryPause(was, true), false)
}
