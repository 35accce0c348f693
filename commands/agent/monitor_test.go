package agent

import (
	"testing"

	"resec/commands/cluster"
	"resec/handlers/redis"
)

// Our Redis is parked when its master is down or another instance answers there, and only then.
func TestMasterMonitor_Parks(t *testing.T) {
	t.Parallel()
	a, r := withRedis(t)
	m := newMasterMonitor(a)
	of := *master("b", "run-b", 1)
	_, err := r.Do("REPLICAOF", "127.0.0.1", "2")
	ok(t, err)
	for _, tt := range []struct {
		name string
		h    redis.Health
		want bool
	}{
		{"it answers", redis.Health{Status: redis.Status{RunID: "run-b"}}, false},
		{"it hangs", redis.Health{Err: errTimeout{}, Status: redis.Status{RunID: "run-b"}}, false},
		{"another instance answers", redis.Health{Status: redis.Status{RunID: "run-new"}}, true},
	} {
		m.observe(t.Context(), of, tt.h)
		equal(t, tt.name, status(t, a.local).Parked(), tt.want)
		equal(t, "failure without early takeover", a.known.Load().Failure, cluster.MasterFailure{})
	}
}
