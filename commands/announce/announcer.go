// Package announce keeps one member present in Consul: its session, its member key, and its service in the catalogue.
//
// Only one process may be a member, and manage one Redis. Announcer.OpenUnique waits until there is no other, before anything is
// announced; a session that a predecessor left is adopted under the same condition. Announcer.KeepUnique finds a second one that
// has started at the same moment: the younger one gives way.
package announce

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"resec/commands/catalog"
	"resec/commands/cluster"
	"resec/commands/known"
	"resec/commands/lock"
	"resec/commands/observable"
	"resec/handlers/redis"
)

// Announcer announces one member. Its fields are set before its methods run, and not changed afterwards.
//
// Each method belongs to one goroutine:
//   - OpenUnique runs first, and no other method runs before it has returned.
//   - KeepRegistered, KeepSession, KeepMemberKey, WatchHidden and KeepUnique have a goroutine each.
//   - Advertise belongs to the controller's goroutine.
type Announcer struct {
	Me        cluster.Master // as published when the agent started; Known.Place says where it is now
	Lock      lock.Lock
	Session   lock.SessionOptions // KeepRegistered extends its CheckDeadline
	Registrar *catalog.Registrar
	Creds     redis.Options // of our Redis; with another address, of the other members' servers
	Log       *slog.Logger

	// Known is what the agent knows. KeepRegistered writes Registered. KeepSession writes the session and Adopted. KeepMemberKey
	// writes Operator and Restarts, and StreamErrors and FullSync as a predecessor knew them. WatchHidden writes Hidden.
	Known *known.Value
	// Advertised is what the catalogue is to show of us. OpenUnique and then Advertise write it.
	Advertised *observable.Value[catalog.Entry]
	// Verify asks KeepSession whether our session still exists. It has a buffer of one.
	Verify chan struct{}
	// Drop makes KeepSession destroy our session of that ID, and open another one: the lock that it holds could not be released.
	Drop <-chan string
	// Read reads the lock with one consistent query, and puts the view into Known. OpenUnique does not call it.
	Read func(context.Context) (cluster.View, error)
	// FinalCallTimeout is how long a last call to Consul may take.
	FinalCallTimeout func() time.Duration
	// Leaving reports whether the agent was asked to stop. May be nil.
	Leaving func() bool
	// GuardLeftBehind reports whether our Redis keeps a guard of ours after the end. Then the member key stays.
	GuardLeftBehind func() bool

	notUnique chan string // from openSession to KeepUnique: why this agent has to give way

	sharesEntry atomic.Bool // KeepUnique has returned ErrNotUnique, and an agent with another id may register our service instance
}

// New completes an announcer whose exported fields are set.
func New(a *Announcer) *Announcer {
	a.notUnique = make(chan string, 1)
	return a
}
