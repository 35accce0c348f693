package agent

import (
	"log/slog"
	"testing"
	"time"

	"resec/commands/cluster"
	"resec/commands/hooks"
	"resec/commands/known"
	"resec/commands/localredis"
	"resec/commands/lock"
	"resec/handlers/redis"
	"resec/scripts/lab"
)

// ok fails the test on an error.
func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// openRedis is a real Redis, opened under the name of "me", and how it was opened.
func openRedis(t *testing.T) (*redis.Server, redis.Options, *lab.Redis) {
	t.Helper()
	r, err := lab.ForTest(t).StartRedis("own")
	ok(t, err)
	creds := redis.Options{Addr: r.Addr, Timeout: 10 * time.Second, Name: "resec:me"}
	s, err := redis.Open(t.Context(), creds)
	ok(t, err)
	t.Cleanup(s.Close)
	return s, creds, r
}

// withRedis is the agent of "me" with a real Redis, which it knows.
func withRedis(t *testing.T) (*Agent, *lab.Redis) {
	t.Helper()
	a := bareAgent()
	r := a.giveRedis(t)
	a.hooks = hooks.New(nil, a.Metrics.HookFailed, a.Log)
	return a, r
}

// giveRedis gives the agent a real Redis, which is a master without any setting of its own.
func (a *Agent) giveRedis(t *testing.T) *lab.Redis {
	t.Helper()
	s, creds, r := openRedis(t)
	a.Creds, a.local = creds, localredis.New(s, creds, slog.New(slog.DiscardHandler))
	t.Cleanup(a.local.Close)
	return r
}

// leads makes the agent know that its Redis is the published master with a guard.
func (a *Agent) leads(t *testing.T, guard int) known.Snapshot {
	t.Helper()
	k := leading(func(k *cluster.Snapshot) {
		k.Health.Status = status(t, a.local)
		k.View.State.Master.RunID, k.View.State.Master.Guard, k.View.State.Master.MaxLag = k.Health.Status.RunID, guard, 4
	})
	a.known.Update(func(is *known.Snapshot) { *is = k })
	return k
}

// status asks our Redis.
func status(t *testing.T, r *localredis.Redis) redis.Status {
	t.Helper()
	st, err := r.Status(t.Context())
	ok(t, err)
	return st
}

// lasting is a lease that lasts.
func lasting() lock.Lease {
	end := &lock.RenewalDeadline{}
	end.Extend(time.Now(), time.Hour)
	return lock.Lease{end}
}
