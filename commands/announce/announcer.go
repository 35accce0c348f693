// Package announce keeps one member present in Consul: its session, its member key, and its service in the catalogue.
//
// Only one process may be a member. Announcer.OpenUnique waits until there is no other, before anything is announced; a session
// that a predecessor left is adopted under the same condition.
package announce

import (
	"context"
	"log/slog"
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
//   - KeepRegistered, KeepSession, KeepMemberKey and WatchHidden have a goroutine each.
//   - Advertise belongs to the controller's goroutine.
type Announcer struct {
	Me        cluster.Master // as published when the agent started; Known.Place says where it is now
	Lock      lock.Lock
	Session   lock.SessionOptions // KeepRegistered extends its CheckDeadline
	Registrar *catalog.Registrar
	Creds     redis.Options // of our Redis; with another address, of the other members' servers
	Log       *slog.Logger

	// Known is what the agent knows. KeepRegistered writes Registered. KeepSession writes the session and Adopted. KeepMemberKey
	// writes Operator and Restarts. WatchHidden writes Hidden.
	Known *known.Value
	// Advertised is what the catalogue is to show of us. OpenUnique and then Advertise write it.
	Advertised *observable.Value[catalog.Entry]
	// Verify asks KeepSession whether our session still exists. It has a buffer of one.
	Verify chan struct{}
	// Read reads the lock with one consistent query, and puts the view into Known. OpenUnique does not call it.
	Read func(context.Context) (cluster.View, error)
	// FinalCallTimeout is how long a last call to Consul may take.
	FinalCallTimeout func() time.Duration
	// GuardLeftBehind reports whether our Redis keeps a guard of ours after the end. Then the member key stays.
	GuardLeftBehind func() bool
}
