// Package observe watches a cluster's lock in Consul and this member's Redis, and keeps what both show in one snapshot.
// Observer.Run and the goroutines that it starts write it, one change at a time; all others read.
package observe

import "resec/commands/cluster"

// Snapshot is what an Observer knows at one moment. A reader embeds it in a snapshot of its own.
type Snapshot = cluster.Observation
