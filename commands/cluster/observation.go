package cluster

import (
	"time"

	"resec/handlers/redis"
)

// Observation is what the watches on the lock and on our Redis have shown.
type Observation struct {
	View          View      // of the lock; the zero View before the first answer
	Fresh         bool      // View was taken since the last outage of Consul; false before the first answer
	Paused        bool      // the cluster was paused when View was taken, by this machine's clock
	ConsulDown    bool      // Consul does not answer the lock's watch
	ConsulUpSince time.Time // the end of the last outage; zero: there was none

	Health redis.Health // of our Redis
	Probed bool         // Health is the answer of a probe
	First  redis.Status // the first one of the run that Health is of

	StreamErrors StreamErrors // of our Redis
	FullSync     FullSync     // of our Redis
}

// TakeHealth takes the answer of a probe of our Redis.
func (s *Observation) TakeHealth(h redis.Health) {
	s.Health, s.Probed = h, true
	newRun := h.Status.RunID != s.First.RunID
	if newRun {
		s.First, s.StreamErrors = h.Status, StreamErrors{}
	}
	s.StreamErrors = s.StreamErrors.observe(h.Status)
	s.FullSync = s.FullSync.observe(h.Status, newRun, s.View.State.Master)
}

// Take replaces the view, and evaluates its pause at now.
func (s *Observation) Take(v View, now time.Time) {
	s.View, s.Fresh, s.Paused = v, true, v.Pause.Active(now)
}

// TakeRead takes a view that was read, unless a newer one is known, and reports whether it did. After an outage it takes any
// view: Consul may have lost its data, so the indexes from before do not compare.
func (s *Observation) TakeRead(v View, now time.Time) bool {
	if s.Fresh && v.Index < s.View.Index {
		return false
	}
	s.Take(v, now)
	return true
}

// TakeWritten takes the view that a write of ours returned, unless the watch has shown that write already, and reports whether it
// did. It keeps what the watch has shown of the members and of a request that the write did not end.
func (s *Observation) TakeWritten(v View, now time.Time) bool {
	if s.Fresh && v.Index <= s.View.Index {
		return false
	}
	v.LiveAgents = s.View.LiveAgents
	if v.Request != nil {
		v.Request = s.View.Request
	}
	s.Take(v, now)
	return true
}
