package agent

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"
	"go.uber.org/goleak"

	"resec/commands/catalog"
	"resec/commands/cluster"
	"resec/commands/lock"
	"resec/handlers"
	"resec/handlers/redis"
	"resec/scripts/lab"
)

// TestMain fails if a goroutine is left when all tests are over.
func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "agent-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	l := lab.New(dir)
	defer l.Close()
	consul = sync.OnceValues(func() (*lab.Consul, error) { return l.StartConsul("agents", nil) })
	before := goleak.IgnoreCurrent()
	code := m.Run()
	if c, err := consul(); err == nil {
		c.CloseIdle()
	}
	l.Close()
	if err := goleak.Find(before, goleak.IgnoreAnyFunction("resec/scripts/lab.spawn.func1.1")); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

var consul func() (*lab.Consul, error) // started when a test needs it

// patience bounds the wait for a condition: the tests of other packages may run beside.
const patience = 40 * time.Second

// group is a cluster whose agents run in this process, on a real Consul and real Redis servers.
type group struct {
	*lab.Lab
	t       *testing.T
	consul  *lab.Consul
	lock    lock.Lock // without a member
	members []*member
}

// member is one agent, which may be restarted, and its Redis.
type member struct {
	g     *group
	id    string
	redis *lab.Redis
	log   logBuffer
	link  link // to Consul

	*Agent // nil: it does not run
	stopIt func() error
	ended  chan struct{} // closed when it has ended
}

// newGroup starts n Redis servers. The first one has data, so its agent need not wait for another's before it founds a cluster.
func newGroup(t *testing.T, n int) *group {
	t.Helper()
	c, err := consul()
	ok(t, err)
	name := strings.ToLower(strings.NewReplacer("/", "-", "_", "-").Replace(t.Name()))
	g := &group{Lab: lab.ForTest(t), t: t, consul: c, lock: lock.Lock{Client: c.Client, Key: name + "/.lock"}}
	for i := range n {
		host := lab.Host()
		r, err := g.StartRedisAt(fmt.Sprintf("redis%d", i), host+":6379", "--replica-announce-ip", host)
		ok(t, err)
		g.members = append(g.members, &member{g: g, id: fmt.Sprintf("m%d", i), redis: r})
	}
	_, err = g.members[0].redis.Do("SET", "data", "1")
	ok(t, err)
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
func (m *member) start(change ...func(*Agent)) {
	m.g.t.Helper()
	transport := &http.Transport{DialContext: m.link.dial, MaxIdleConnsPerHost: 16}
	client, err := api.NewClient(&api.Config{Address: m.g.consul.HTTP(), Transport: transport})
	ok(m.g.t, err)
	log := slog.New(slog.NewTextHandler(&m.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	service := m.g.name() + "-" + m.id
	registrar := &catalog.Registrar{Client: client, Naming: catalog.Naming{Prefix: m.g.name()}, ID: service, Host: m.redis.Host, Port: 6379,
		Interval: 2 * time.Second, DeregisterAfter: time.Hour, Log: log}
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
func (m *member) stop() error {
	if m.Agent == nil {
		return nil
	}
	m.Agent = nil
	return m.stopIt()
}

// report is what the agent says of itself.
func (m *member) report() Report { return m.Report(context.Background(), true) }

// said returns nil once the agent has logged the event.
func (m *member) said(event string) error {
	if !strings.Contains(strings.ReplaceAll(m.log.String(), "\n", " "), "event="+event+" ") {
		return fmt.Errorf("%s did not log %s", m.id, event)
	}
	return nil
}

// eventually waits until the condition holds.
func (g *group) eventually(look func() error) {
	g.t.Helper()
	lab.Eventually(g.t, patience, look)
}

// saying waits until the agent has logged the event.
func (m *member) saying(event string) {
	m.g.t.Helper()
	m.g.eventually(func() error { return m.said(event) })
}

// view is the lock.
func (g *group) view() cluster.View {
	g.t.Helper()
	v, err := g.lock.Read(g.t.Context())
	ok(g.t, err)
	return v
}

// settled waits until one member is the master, and every other one whose agent and Redis run is its replica, recorded in sync,
// and the guard is set. It returns the master, and a replica.
func (g *group) settled() (master, replica *member) {
	g.t.Helper()
	g.eventually(func() (err error) {
		master, replica, err = g.look()
		return err
	})
	return master, replica
}

func (g *group) look() (master, replica *member, err error) {
	for _, m := range g.members {
		if m.Agent == nil || !m.redis.Running() {
			continue
		}
		switch r := m.report(); {
		case r.Published && r.Holds && r.Redis.Master && !r.Redis.Fenced() && r.Lacks == "" && master == nil:
			master = m
		case r.Why != "" || !r.Follows || !r.Redis.LinkUp || r.Lacks != "":
			return nil, nil, fmt.Errorf("%s: %+v", m.id, r)
		case r.Behind == nil:
			return nil, nil, fmt.Errorf("how far %s is behind is unknown", m.id)
		case m.known.Load().Health.Status.Syncing:
			return nil, nil, fmt.Errorf("the agent of %s has not seen the end of its sync", m.id)
		default:
			replica = m
		}
	}
	if master == nil {
		return nil, nil, errors.New("there is no master")
	}
	if guard := master.report().Redis.MinReplicas; replica != nil && guard != 1 && master.Guard.Replicas == cluster.GuardAuto {
		return nil, nil, fmt.Errorf("the guard of %s is %d", master.id, guard)
	}
	return master, replica, nil
}

// leavesNothing fails the test if something of the stopped member is left in Consul or on its Redis.
func (g *group) leavesNothing(m *member) {
	g.t.Helper()
	s, _, err := g.consul.Client.Session().List(nil)
	ok(g.t, err)
	sessions := 0
	for _, e := range s {
		if e.Name == g.name() {
			sessions++
		}
	}
	running := 0
	for _, m := range g.members {
		if m.Agent != nil {
			running++
		}
	}
	equal(g.t, "sessions", sessions, running)
	if _, _, err := g.consul.Client.Agent().Service(g.name()+"-"+m.id, nil); err == nil {
		g.t.Errorf("%s is still registered", m.id)
	}
	if _, has := g.view().LiveAgents[m.id]; has {
		g.t.Errorf("%s still has its key", m.id)
	}
	if !m.redis.Running() {
		return
	}
	st := m.status()
	equal(g.t, "guard of "+m.id, st.MinReplicas, 0)
	equal(g.t, "lag of "+m.id, st.MaxLag, 10)
}

// status is that of a member's Redis, whether its agent runs or not.
func (m *member) status() redis.Status {
	m.g.t.Helper()
	st, err := handlers.Probe(context.Background(), redis.Options{Addr: m.redis.Addr, Timeout: 5 * time.Second})
	ok(m.g.t, err)
	return st
}

// do runs a command on the member's Redis.
func (m *member) do(args ...string) {
	m.g.t.Helper()
	_, err := m.redis.Do(args...)
	ok(m.g.t, err)
}

// logBuffer is a log that may be read while it is written.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func (b *logBuffer) reset() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.buf.Reset()
}

// link is an agent's network to Consul, which can be cut.
type link struct {
	mu    sync.Mutex
	isCut bool
	conns []net.Conn
}

func (l *link) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.isCut {
		return nil, &net.OpError{Op: "dial", Net: network, Err: syscall.ECONNREFUSED}
	}
	conn, err := new(net.Dialer).DialContext(ctx, network, addr)
	if err == nil {
		l.conns = append(l.conns, conn)
	}
	return conn, err
}

// cut ends all connections, and refuses others until mend.
func (l *link) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.isCut = true
	for _, conn := range l.conns {
		_ = conn.Close()
	}
	l.conns = nil
}

func (l *link) mend() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.isCut = false
}
