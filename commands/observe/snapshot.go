// Package observe watches a cluster's lock in Consul and this member's Redis, and keeps what both show in one snapshot.
package observe

import (
	"time"

	"resec/commands/cluster"
	"resec/handlers/redis"
)

// Snapshot is what an Observer knows at one moment. A reader embeds it in a snapshot of its own.
type Snapshot struct {
	View          cluster.View // of the lock; the zero View before the first answer
	Fresh         bool         // View was taken since the last outage of Consul; false before the first answer
	Paused        bool         // the cluster was paused when View was taken, by this machine's clock
	ConsulDown    bool         // Consul does not answer the lock's watch
	ConsulUpSince time.Time    // the end of the last outage; zero: there was none

	Health redis.Health // of our Redis
	Probed bool         // Health is the answer of a probe
}

// take replaces the view.
func (s *Snapshot) take(v cluster.View) {
	s.View, s.Fresh, s.Paused = v, true, v.Pause.Active(time.Now())
}

// takeRead takes a view that was read, unless a newer one is known, and reports whether it did. After an outage it takes any
// view: Consul may have lost its data, so the indexes from before do not compare.
func (s *Snapshot) takeRead(v cluster.View) bool {
	if s.Fresh && v.Index < s.View.Index {
		return false
	}
	s.take(v)
	return true
}

// takeWritten takes the view that a write of ours returned, unless the watch has shown that write already, and reports whether it
// did. It keeps what the watch has shown of the members and of a request that the write did not end.
func (s *Snapshot) takeWritten(v cluster.View) bool {
	if s.Fresh && v.Index <= s.View.Index {
		return false
	}
	v.LiveAgents = s.View.LiveAgents
	if v.Request != nil {
		v.Request = s.View.Request
	}
	s.take(v)
	return true
}
