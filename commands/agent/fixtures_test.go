package agent

import (
	"log/slog"
	"testing"
	"time"

	"resec/commands/catalog"
	"resec/commands/cluster"
	"resec/commands/consultest"
	"resec/commands/expect"
	"resec/commands/hooks"
	"resec/commands/known"
	"resec/commands/known/knowntest"
	"resec/commands/localredis"
	"resec/commands/lock"
	"resec/commands/observable"
	"resec/commands/observe"
	"resec/commands/survey"
	"resec/handlers"
	"resec/handlers/redis"
	"resec/scripts/lab"
)

// The snapshots that most tests of this room begin with.
var situation, leading, unfresh = knowntest.Situation, knowntest.Leading, knowntest.Unfresh

// bareAgent is the agent of "me", with what decisions need and without any server.
func bareAgent() *Agent {
	a := &Agent{Me: cluster.Master{Peer: handlers.Peer{ID: "me", Address: "10.0.0.9:6379"}, Node: "n", ServiceID: "redis:6379"},
		Registrar: &catalog.Registrar{Naming: catalog.Naming{Prefix: "redis"}, Interval: time.Second},
		Probe:     redis.Probe{Every: time.Second, Timeout: 500 * time.Millisecond, Failures: 2},
		Session:   lock.SessionOptions{TTL: 3 * time.Second},
		Guard:     cluster.GuardPolicy{Replicas: cluster.GuardAuto, MaxLag: 4},
		Log:       slog.New(slog.DiscardHandler), known: observable.New[known.Snapshot](), verifySession: make(chan struct{}, 1)}
	a.addresses = &known.Addresses{Known: a.known, Log: a.Log}
	return a
}

// onConsul is the agent of "me" on the real Consul, with a lock of its own and without watches: a test says what it knows.
func onConsul(t *testing.T) *Agent {
	t.Helper()
	a := bareAgent()
	a.Lock = consultest.Lock(t)
	a.Session.Name = t.Name()
	a.hooks = hooks.New(nil, a.Metrics.HookFailed, a.Log)
	a.announcer = a.newAnnouncer()
	a.observer = &observe.Observer{Lock: a.Lock, Log: a.Log, Update: func(change func(*observe.Snapshot)) {
		a.known.Update(func(k *known.Snapshot) { change(&k.Observation) })
	}}
	a.surveyor = &survey.Surveyor{ID: "me", Lock: a.Lock, Naming: a.Registrar.Naming, Log: a.Log}
	return a
}

// session makes a session that ends with the test.
func session(t *testing.T, a *Agent) *lock.Session {
	t.Helper()
	return consultest.Session(t, a.Lock.Client)
}

// acquire makes a member hold the lock, with that master published; nil: none.
func acquire(t *testing.T, a *Agent, s *lock.Session, id string, m *cluster.Master) cluster.View {
	t.Helper()
	return consultest.Acquire(t, a.Lock, s, id, m)
}

var master, answering = consultest.Master, consultest.Answering

// openRedis is a real Redis, opened under the name of "me", and how it was opened.
func openRedis(t *testing.T) (*redis.Server, redis.Options, *lab.Redis) {
	t.Helper()
	r, err := lab.ForTest(t).StartRedis("own")
	expect.OK(t, err)
	creds := redis.Options{Addr: r.Addr, Timeout: 10 * time.Second, Name: "resec:me"}
	s, err := redis.Open(t.Context(), creds)
	expect.OK(t, err)
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
	k := knowntest.LeadingOf(status(t, a.local), guard)
	a.known.Update(func(is *known.Snapshot) { *is = k })
	return k
}

// status asks our Redis.
func status(t *testing.T, r *localredis.Redis) redis.Status {
	t.Helper()
	st, err := r.Status(t.Context())
	expect.OK(t, err)
	return st
}

// onServers is the agent of "me" with a real Redis and a lock of its own on the real Consul.
func onServers(t *testing.T) (*Agent, *lab.Redis) {
	t.Helper()
	a := onConsul(t)
	r := a.giveRedis(t)
	a.Me.Address = r.Addr
	a.surveyor.Creds, a.surveyor.Own = a.Creds, a.local.Status
	return a, r
}

// publish makes our Redis, with a guard, the published master under a session; and the agent know that.
func (a *Agent) publish(t *testing.T, s *lock.Session, holder string) known.Snapshot {
	t.Helper()
	m := master("me", status(t, a.local).RunID, 1)
	m.Address, m.Guard, m.MaxLag = a.Me.Address, 1, 4
	expect.OK(t, a.local.SetGuard(t.Context(), status(t, a.local), cluster.MinReplicas{Replicas: 1, MaxLag: 4}, knowntest.Lasting(),
		time.Hour))
	k := known.Snapshot{}
	k.View = acquire(t, a, s, holder, m)
	k.Fresh, k.Probed, k.Health.Status = true, true, status(t, a.local)
	k.SetSession(s)
	k.Operator = cluster.OperatorSettings{RunID: m.RunID, MinReplicas: cluster.MinReplicas{MaxLag: 10}}
	a.known.Update(func(is *known.Snapshot) { *is = k })
	return k
}
