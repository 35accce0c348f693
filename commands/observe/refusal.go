package observe

import (
	"time"

	"resec/handlers/redis"
)

// refusalLogPause bounds how often a refusal is logged that comes and goes, as that of a full memory does.
const refusalLogPause = 5 * time.Minute

// lasting is a condition that was logged. It belongs to the goroutine of the probes.
type lasting struct {
	is    string    // the condition as it is logged now; empty: there is none
	ended time.Time // when its end was logged last
}

// changed reports whether the condition, or its end, is to be logged. After an end the next one is logged only after
// refusalLogPause: of a condition that comes and goes the last line says that it is there.
func (l *lasting) changed(now string, at time.Time) bool {
	if now == l.is || now == "" && at.Sub(l.ended) < refusalLogPause {
		return false
	}
	if l.is = now; now == "" {
		l.ended = at
	}
	return true
}

// logRefusals logs why our Redis refuses writes or new clients although it answers, and that it takes them again.
func (o *Observer) logRefusals(h redis.Health, writes, clients *lasting) {
	if h.Err != nil {
		return
	}
	if writes.changed(h.Status.Refusing(), time.Now()) {
		o.logRefusal(h, writes)
	}
	if !clients.changed(h.Status.RefusingClients(), time.Now()) {
		return
	}
	if clients.is == "" {
		o.Log.Info("redis no longer refuses new clients", "event", "redis_accepts_clients", "redis", o.Redis.Addr())
		return
	}
	o.Log.Warn("redis answers, and refuses new clients; no other member is made master for it", "event", "redis_refuses_clients",
		"redis", o.Redis.Addr(), "why", clients.is)
}

// logRefusal logs why our Redis refuses writes, or that it takes them again.
func (o *Observer) logRefusal(h redis.Health, l *lasting) {
	switch why := l.is; {
	case why == "":
		o.Log.Info("redis no longer refuses writes", "event", "redis_accepts", "redis", o.Redis.Addr())
	case h.Status.Master:
		o.Log.Warn("redis answers, and refuses writes", "event", "redis_refuses", "redis", o.Redis.Addr(), "why", why)
	default:
		o.Log.Warn("redis answers, and would refuse writes as the master", "event", "redis_would_refuse", "redis", o.Redis.Addr(),
			"why", why)
	}
}
