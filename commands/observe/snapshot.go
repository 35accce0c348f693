// Package observe watches a cluster's lock in Consul and this member's Redis, and keeps what both show in one snapshot.
//
// The snapshot is the caller's: Observer.Update changes it, one change at a time. Observer.Run starts two goroutines, which write
// the view of the lock and the health of Redis. Any other goroutine that reads or writes the lock passes its view to Take, Wrote
// or Read, which write it, too.
package observe

import "resec/commands/cluster"

// Snapshot is what an Observer knows at one moment. A reader embeds it in a snapshot of its own.
type Snapshot = cluster.Observation
