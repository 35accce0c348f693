package localredis

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"resec/commands/expect"
	"resec/commands/known"
	"resec/commands/observable"
	"resec/handlers/redis"
	"resec/scripts/lab"
)

// What a real Redis refuses is known as soon as it was probed, and again after a few intervals; a try that says nothing keeps it.
func TestKeepRefusals(t *testing.T) {
	t.Parallel()
	own, r := localServer(t)
	allow := func(rule string) {
		_, err := r.Do("ACL", "SETUSER", "default", rule)
		expect.OK(t, err)
	}
	allow("-replicaof")
	snapshot := observable.New[known.Snapshot]()
	ctx, stop := context.WithCancel(t.Context())
	var keeping sync.WaitGroup
	keeping.Go(func() { own.KeepRefusals(ctx, snapshot, "redis-master", 20*time.Millisecond) })
	defer keeping.Wait()
	defer stop()
	expect.Equal(t, "before a probe", snapshot.Load().Refused.String(), "")
	refuses := func(want string) {
		t.Helper()
		lab.Eventually(t, expect.Patience, func() error {
			if got := snapshot.Load().Refused.String(); got != want {
				return errors.New("it refuses: " + got)
			}
			return nil
		})
	}
	snapshot.Update(func(k *known.Snapshot) { k.Probed, k.Health.Status = true, redis.Status{RunID: "run"} })
	snapshot.Update(func(k *known.Snapshot) { k.Fresh = true })
	refuses("its ACL denies REPLICAOF to resec's user")
	allow("+replicaof")
	refuses("")
	allow("-client|pause")
	refuses("its ACL denies CLIENT PAUSE to resec's user")
}

// A master that refuses to be parked, and must not take writes, is fenced instead; a replica that refuses is not.
func TestPark_Refused(t *testing.T) {
	t.Parallel()
	own, r := localServer(t)
	for _, rule := range []string{"-replicaof", "-slaveof"} {
		_, err := r.Do("ACL", "SETUSER", "default", rule)
		expect.OK(t, err)
	}
	if err := own.Park(t.Context()); !redis.CommandRefused(err) {
		t.Errorf("got %v", err)
	}
	expect.Equal(t, "fenced", status(t, own).Fenced(), true)
	expect.Equal(t, "fenced because it is not parked", own.fencedFor(fencedUnparked), true)

	other, replica := localServer(t)
	_, err := replica.Do("REPLICAOF", "127.0.0.1", "2")
	expect.OK(t, err)
	_, err = replica.Do("ACL", "SETUSER", "default", "-replicaof")
	expect.OK(t, err)
	if err := other.Park(t.Context()); !redis.CommandRefused(err) {
		t.Errorf("got %v", err)
	}
	expect.Equal(t, "a replica is fenced", status(t, other).Fenced(), false)
}
