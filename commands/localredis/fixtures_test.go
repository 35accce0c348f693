package localredis

import (
	"context"
	"log/slog"
	"os"
	"testing"
	"time"

	"resec/commands/cluster"
	"resec/commands/consultest"
	"resec/commands/expect"
	"resec/commands/known"
	"resec/commands/known/knowntest"
	"resec/commands/observable"
	"resec/handlers/redis"
	"resec/scripts/lab"
)

// TestMain fails if a goroutine is left when all tests are over.
func TestMain(m *testing.M) { os.Exit(consultest.Main(m)) }

// The snapshots that most tests of this room begin with.
var situation, leading = knowntest.Situation, knowntest.Leading

// localServer is our own Redis, which is real, and a master without any setting of its own.
func localServer(t *testing.T) (*Redis, *lab.Redis) {
	t.Helper()
	r, err := lab.ForTest(t).StartRedis("own")
	expect.OK(t, err)
	creds := redis.Options{Addr: r.Addr, Timeout: 10 * time.Second, Name: "resec:me"}
	s, err := redis.Open(t.Context(), creds)
	expect.OK(t, err)
	own := New(s, creds, slog.New(slog.DiscardHandler))
	t.Cleanup(own.Close)
	return own, r
}

// resettable is localServer with set, which is CONFIG SET on it, and reset, which makes it again what it was at first.
func resettable(t *testing.T) (own *Redis, r *lab.Redis, set func(t *testing.T, args ...string), reset func(t *testing.T)) {
	t.Helper()
	own, r = localServer(t)
	set = func(t *testing.T, args ...string) {
		t.Helper()
		_, err := r.Do(append([]string{"CONFIG", "SET"}, args...)...)
		expect.OK(t, err)
	}
	return own, r, set, func(t *testing.T) {
		t.Helper()
		_, err := r.Do("REPLICAOF", "NO", "ONE")
		expect.OK(t, err)
		set(t, "min-replicas-to-write", "0", "min-replicas-max-lag", "10")
		own.EndLeading()
		clear(own.fences)
		own.probed()
	}
}

// status asks our Redis.
func status(t *testing.T, r *Redis) redis.Status {
	t.Helper()
	st, err := r.Status(t.Context())
	expect.OK(t, err)
	return st
}

// probed reports whether a probe was asked for since the last call.
func (r *Redis) probed() bool {
	select {
	case <-r.ProbeRequests():
		return true
	default:
		return false
	}
}

// fencedFor reports whether the agent has fenced Redis for that reason.
func (r *Redis) fencedFor(why fenceReason) bool {
	end, err := r.begin(context.Background())
	if err != nil {
		panic(err)
	}
	defer end()
	_, is := r.fences[why]
	return is
}

// unfence removes a reason.
func unfence(t *testing.T, r *Redis, why fenceReason) {
	t.Helper()
	_, err := r.unfence(t.Context(), why)
	expect.OK(t, err)
}

// testFencer is the fencer of "me" with a real Redis, and without replicas that are known to stream.
func testFencer(t *testing.T) (*Fencer, *lab.Redis) {
	t.Helper()
	own, r := localServer(t)
	return &Fencer{Redis: own, Known: observable.New[known.Snapshot](), ID: "me",
		Guard:      cluster.GuardPolicy{Replicas: cluster.GuardAuto, MaxLag: 4},
		StallLimit: cluster.StallLimit(4*time.Second, time.Second, 0),
		Streams:    func(string) bool { return false },
		Fenced:     func(uint64, string) {}, Log: slog.New(slog.DiscardHandler)}, r
}

// leads makes it known that our Redis is the published master with a guard.
func (f *Fencer) leads(t *testing.T, guard int) known.Snapshot {
	t.Helper()
	k := knowntest.LeadingOf(status(t, f.Redis), guard)
	f.Known.Update(func(is *known.Snapshot) { *is = k })
	return k
}
