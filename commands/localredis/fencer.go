package localredis

import (
	"log/slog"
	"time"

	"resec/commands/cluster"
	"resec/commands/known"
)

// Fencer fences our Redis while it may no longer be the only master: after this process stalled (RunStalls), and at the end of
// the lease (RunLease). Each of the two is one goroutine, which owns what it remembers. The fields are set before they run, and
// not changed afterwards.
type Fencer struct {
	Redis *Redis
	Known *known.Value
	ID    string // of this member
	Guard cluster.GuardPolicy
	// StallLimit is for how long this process may not have run without a consequence: see cluster.StallLimit.
	StallLimit time.Duration
	// Streams reports whether the recorded member of that id streams our history. Any goroutine may call it.
	Streams func(id string) bool
	// Fenced notifies hooks that our Redis was fenced in its term as master, and why. Any goroutine may call it.
	Fenced func(term uint64, reason string)
	Log    *slog.Logger
}
