package contend

import (
	"log/slog"
	"os"
	"testing"
	"time"

	"resec/commands/catalog"
	"resec/commands/cluster"
	"resec/commands/consultest"
	"resec/commands/expect"
	"resec/commands/known"
	"resec/commands/known/knowntest"
	"resec/commands/localredis"
	"resec/commands/lock"
	"resec/commands/observable"
	"resec/commands/survey"
	"resec/handlers"
	"resec/handlers/redis"
	"resec/scripts/lab"
)

// TestMain fails if a goroutine is left when all tests are over.
func TestMain(m *testing.M) { os.Exit(consultest.Main(m)) }

// The snapshots that most tests of this room begin with.
var situation, unfresh = knowntest.Situation, knowntest.Unfresh

// bare is the contender of "me", with what decisions need and without any server.
func bare() *Contender {
	return &Contender{ID: "me", Known: observable.New[known.Snapshot](),
		Probe:    redis.Probe{Every: time.Second, Timeout: 500 * time.Millisecond, Failures: 2},
		Interval: time.Second, SessionTTL: 3 * time.Second, Verify: make(chan struct{}, 1), Log: slog.New(slog.DiscardHandler)}
}

// onServers is the contender of "me" with a real Redis, which is a master, and a lock of its own on the real Consul.
func onServers(t *testing.T) (*Contender, *ownRedis) {
	t.Helper()
	r, err := lab.ForTest(t).StartRedis("own")
	expect.OK(t, err)
	c := bare()
	c.Lock = consultest.Lock(t)
	creds := redis.Options{Addr: r.Addr, Timeout: 10 * time.Second, Name: "resec:me"}
	s, err := redis.Open(t.Context(), creds)
	expect.OK(t, err)
	own := &ownRedis{Redis: r, local: localredis.New(s, creds, c.Log)}
	t.Cleanup(own.local.Close)
	c.Surveyor = &survey.Surveyor{ID: "me", Lock: c.Lock, Naming: catalog.Naming{Prefix: "redis"}, Creds: creds,
		Own: own.local.Status, Log: c.Log}
	c.ParkIfFollowing = own.local.ParkIfFollowing
	return c, own
}

// ownRedis is our own Redis, as an agent has it, without a term of ours.
type ownRedis struct {
	*lab.Redis
	local *localredis.Redis
}

// now is our Redis's status.
func (o *ownRedis) now(t *testing.T) redis.Status {
	t.Helper()
	st, err := o.local.Status(t.Context())
	expect.OK(t, err)
	return st
}

// session makes a session that ends with the test.
func session(t *testing.T, c *Contender) *lock.Session {
	t.Helper()
	return consultest.Session(t, c.Lock.Client)
}

func master(id, runID, addr string) *cluster.Master {
	return &cluster.Master{Peer: handlers.Peer{ID: id, RunID: runID, Address: addr, Term: 1}}
}
