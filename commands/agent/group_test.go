package agent

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"

	"resec/commands/catalog"
	"resec/commands/cluster"
	"resec/commands/consultest"
	"resec/commands/expect"
	"resec/commands/lock"
	"resec/handlers"
	"resec/handlers/redis"
	"resec/scripts/lab"
)

// TestMain fails if a goroutine is left when all tests are over.
func TestMain(m *testing.M) { os.Exit(consultest.Main(m)) }

var clusters atomic.Int64 // counts them, so that each has a lock of its own even if a test is run twice

// group is a cluster whose agents run in this process, on a real Consul and real Redis servers.
type group struct {
	*lab.Lab
	t       *testing.T
	consul  *lab.Consul
	lock    lock.Lock // without a member
	members []*groupMember
}

// member is one agent, which may be restarted, and its Redis.
type groupMember struct {
	g     *group
	id    string
	redis *lab.Redis
	log   expect.Log
	link  link // to Consul

	*Agent // nil: it does not run
	stopIt func() error
	ended  chan struct{} // closed when it has ended
}

// newGroup starts n Redis servers. The first one has data, so its agent need not wait for another's before it founds a cluster.
func newGroup(t *testing.T, n int) *group {
	t.Helper()
	c := consultest.Consul(t)
	name := strings.ToLower(strings.NewReplacer("/", "-", "_", "-").Replace(t.Name())) + fmt.Sprint(clusters.Add(1))
	g := &group{Lab: lab.ForTest(t), t: t, consul: c, lock: lock.Lock{Client: c.Client, Key: name + "/.lock"}}
	for i := range n {
		host := lab.Host()
		r, err := g.StartRedisAt(fmt.Sprintf("redis%d", i), host+":6379", "--replica-announce-ip", host)
		expect.OK(t, err)
		g.members = append(g.members, &groupMember{g: g, id: fmt.Sprintf("m%d", i), redis: r})
	}
	_, err := g.members[0].redis.Do("SET", "data", "1")
	expect.OK(t, err)
	t.Cleanup(func() {
		for _, m := range g.members {
			_ = m.stop()
			if t.Failed() {
				t.Logf("%s\n%s", m.id, m.log.String())
			}
		}
	})
	return g
}

func (g *group) name() string { return strings.TrimSuffix(g.lock.Key, "/.lock") }

// start starts the agent, changed.
func (m *groupMember) start(change ...func(*Agent)) {
	m.g.t.Helper()
	transport := &http.Transport{DialContext: m.link.dial, MaxIdleConnsPerHost: 16}
	client, err := api.NewClient(&api.Config{Address: m.g.consul.HTTP(), Transport: transport})
	expect.OK(m.g.t, err)
	log := slog.New(slog.NewTextHandler(&m.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	service := m.g.name() + "-" + m.id
	registrar := &catalog.Registrar{Client: client, Naming: catalog.Naming{Prefix: m.g.name()}, ID: service,
		Host: m.redis.Host, Port: 6379, Interval: 2 * time.Second, DeregisterAfter: time.Hour, Log: log}
	a := &Agent{Lock: lock.Lock{Client: client, Key: m.g.lock.Key, Member: m.id, LastKnown: &lock.LastKnownState{}},
		Session:   lock.SessionOptions{Name: m.g.name(), TTL: 10 * time.Second, Check: registrar.CheckID()},
		Me:        cluster.Master{Peer: handlers.Peer{ID: m.id, Address: m.redis.Addr}, Node: "agents", ServiceID: service},
		Registrar: registrar, Creds: redis.Options{Addr: m.redis.Addr, Timeout: 2 * time.Second, Name: "resec:" + m.id},
		Probe: redis.Probe{Every: 500 * time.Millisecond, Timeout: 2 * time.Second, Failures: 1},
		Guard: cluster.GuardPolicy{Replicas: cluster.GuardAuto, MaxLag: 4}, Log: log}
	for _, f := range change {
		f(a)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	ended := make(chan struct{})
	go func() { defer close(ended); done <- a.Run(ctx) }()
	m.Agent, m.ended = a, ended
	m.stopIt = func() error {
		cancel()
		defer transport.CloseIdleConnections()
		return <-done
	}
}

// stop stops the agent, if it runs, and returns its error.
func (m *groupMember) stop() error {
	if m.Agent == nil {
		return nil
	}
	m.Agent = nil
	return m.stopIt()
}
