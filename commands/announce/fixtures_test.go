package announce

import (
	"context"
	"log/slog"
	"os"
	"testing"
	"time"

	"resec/commands/catalog"
	"resec/commands/cluster"
	"resec/commands/consultest"
	"resec/commands/expect"
	"resec/commands/known"
	"resec/commands/lock"
	"resec/commands/observable"
	"resec/commands/pace"
	"resec/handlers"
	"resec/handlers/redis"
	"resec/scripts/lab"
)

// TestMain fails if a goroutine is left when all tests are over.
func TestMain(m *testing.M) { os.Exit(consultest.Main(m)) }

// bareAnnouncer is the announcer of "me", without any server.
func bareAnnouncer() *Announcer {
	a := &Announcer{Me: cluster.Master{Peer: handlers.Peer{ID: "me", Address: "10.0.0.9:6379"}, Node: "n", ServiceID: "redis:6379"},
		Session:   lock.SessionOptions{TTL: time.Minute},
		Registrar: &catalog.Registrar{Naming: catalog.Naming{Prefix: "redis"}, Interval: time.Second},
		Creds:     redis.Options{Timeout: 10 * time.Second, Name: "resec:me"}, Log: slog.New(slog.DiscardHandler),
		Known: observable.New[known.Snapshot](), Advertised: observable.New[catalog.Entry](), Verify: make(chan struct{}, 1),
		FinalCallTimeout: func() time.Duration { return pace.CallTimeout }, GuardLeftBehind: func() bool { return false }}
	a.Read = func(ctx context.Context) (cluster.View, error) { return a.Lock.Read(ctx) }
	return a
}

// onConsul is the announcer of "me" on the real Consul, with a lock and a service of its own.
func onConsul(t *testing.T) *Announcer {
	t.Helper()
	a := bareAnnouncer()
	a.Lock = consultest.Lock(t)
	a.Session.Name, a.Registrar.Naming.Prefix = t.Name(), t.Name()
	a.Registrar.Client, a.Registrar.ID = a.Lock.Client, t.Name()
	return a
}

// withRedis makes a real Redis the announcer's own, and opens it.
func (a *Announcer) withRedis(t *testing.T) (*redis.Server, *lab.Redis) {
	t.Helper()
	r, err := lab.ForTest(t).StartRedis("own")
	expect.OK(t, err)
	a.Creds.Addr, a.Me.Address = r.Addr, r.Addr
	s, err := redis.Open(t.Context(), a.Creds)
	expect.OK(t, err)
	t.Cleanup(s.Close)
	return s, r
}
