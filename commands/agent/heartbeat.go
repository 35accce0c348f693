package agent

import (
	"context"
	"sync/atomic"
	"time"

	"resec/commands/takeover"
	"resec/handlers/redis"
)

// heartbeat is when the controller's goroutine last began a step, for systemd's watchdog. It is safe for concurrent use.
type heartbeat struct{ at atomic.Int64 } // nanoseconds since 1970; 0: never

func (h *heartbeat) beat() { h.at.Store(time.Now().UnixNano()) }

func (h *heartbeat) last() time.Time { return time.Unix(0, h.at.Load()) }

// lastDecided is when the goroutine that decides last began a step. While this agent waits nothing is to be decided.
func (a *Agent) lastDecided() time.Time {
	if !a.ready.Load() {
		return time.Now()
	}
	return a.decided.last()
}

// beating is our own Redis in a takeover. A takeover may wait for long, for a guard or a full sync, and asks our Redis in each
// round of that.
type beating struct {
	takeover.OwnRedis
	decided *heartbeat
}

func (b beating) Status(ctx context.Context) (redis.Status, error) {
	b.decided.beat()
	return b.OwnRedis.Status(ctx)
}
