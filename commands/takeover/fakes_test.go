package takeover

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"

	"resec/commands/cluster"
	"resec/commands/lock"
	"resec/handlers"
	"resec/handlers/redis"
)

// journal lists the commands that change something, in the order in which the fake servers received them.
type journal struct {
	mu      sync.Mutex
	entries []string
}

func (j *journal) add(format string, args ...any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.entries = append(j.entries, fmt.Sprintf(format, args...))
}

func (j *journal) list() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return append([]string(nil), j.entries...)
}

// fakeRedis answers the commands that resec sends. Its replication is only what INFO says.
type fakeRedis struct {
	id   string
	addr string
	log  *journal
	ln   net.Listener

	mu    sync.Mutex
	conns []net.Conn
	fake
}

// fake is how a fakeRedis behaves; it is changed by fakeRedis.set.
type fake struct {
	st       redis.Status
	delay    time.Duration              // before each answer
	slow     func(string) time.Duration // the delay of one command; nil: delay
	frozen   bool                       // it accepts connections and does not answer
	denied   bool                       // it answers -NOAUTH
	sticky   bool                       // REPLICAOF changes nothing
	onChange func(string, *fake)        // after each command that changes something, with what the journal says
}

// startRedis starts a fake with that status. The run_id is "run-" + id unless st says otherwise.
func startRedis(t *testing.T, log *journal, id string, st redis.Status) *fakeRedis {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if st.RunID == "" {
		st.RunID = "run-" + id
	}
	r := &fakeRedis{id: id, addr: ln.Addr().String(), log: log, ln: ln, fake: fake{st: st}}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			r.mu.Lock()
			r.conns = append(r.conns, conn)
			r.mu.Unlock()
			serving.Go(func() { r.serve(conn) })
		}
	})
	t.Cleanup(func() { r.stop(); serving.Wait() })
	return r
}

func (r *fakeRedis) set(change func(*fake)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change(&r.fake)
}

func (r *fakeRedis) status() redis.Status {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.st
}

// stop makes the address refuse connections.
func (r *fakeRedis) stop() {
	r.ln.Close()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.conns {
		c.Close()
	}
}

func (r *fakeRedis) serve(conn net.Conn) {
	defer conn.Close()
	in := bufio.NewReader(conn)
	for {
		args, err := readCommand(in)
		if err != nil {
			return
		}
		r.mu.Lock()
		delay, frozen := r.delay, r.frozen
		if r.slow != nil {
			delay = r.slow(strings.Join(args, " "))
		}
		r.mu.Unlock()
		if frozen {
			continue
		}
		if delay > 0 {
			<-time.After(delay)
		}
		_, _ = io.WriteString(conn, r.answer(args)) // like redis, it executes what it has read after the client has closed
	}
}

func readCommand(in *bufio.Reader) (args []string, err error) {
	number := func() int {
		line, e := in.ReadString('\n')
		if err = e; err != nil {
			return 0
		}
		n, _ := strconv.Atoi(strings.TrimSpace(line[1:]))
		return n
	}
	for range number() {
		arg := make([]byte, number()+2)
		if err == nil {
			_, err = io.ReadFull(in, arg)
		}
		if err != nil {
			return nil, err
		}
		args = append(args, string(arg[:len(arg)-2]))
	}
	return args, err
}

func (r *fakeRedis) answer(args []string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	line := strings.Join(args, " ")
	switch {
	case r.denied:
		return "-NOAUTH Authentication required.\r\n"
	case line == "PING":
		return "+PONG\r\n"
	case line == "INFO":
		return bulk(r.info())
	case strings.HasPrefix(line, "CONFIG GET"):
		conf := []string{"replica-priority", "100", "replica-read-only", "yes",
			"min-replicas-to-write", strconv.Itoa(r.st.MinReplicas), "min-replicas-max-lag", strconv.Itoa(r.st.MaxLag)}
		out := fmt.Sprintf("*%d\r\n", len(conf))
		for _, c := range conf {
			out += bulk(c)
		}
		return out
	case strings.HasPrefix(line, "CLIENT LIST"):
		return bulk("")
	case strings.HasPrefix(line, "CLIENT SET"), strings.HasPrefix(line, "CONFIG SET replica-read-only"), args[0] == "AUTH",
		args[0] == "HELLO":
		return "+OK\r\n"
	}
	r.change(args)
	if strings.HasPrefix(line, "CONFIG SET min-replicas-to-write 2147") {
		line = "fence"
	}
	r.log.add("%s: %s", r.id, line)
	if r.onChange != nil {
		r.onChange(line, &r.fake)
	}
	return "+OK\r\n"
}

func (r *fakeRedis) change(args []string) {
	switch {
	case args[0] == "REPLICAOF" && r.sticky:
	case args[0] == "REPLICAOF" && args[1] == "NO":
		r.st.Master, r.st.MasterAddr, r.st.LinkUp = true, "", false
	case args[0] == "REPLICAOF":
		r.st.MasterAddr = net.JoinHostPort(args[1], args[2])
		r.st.Master, r.st.LinkUp = false, r.st.MasterAddr != redis.Sink
	case args[0] == "CONFIG" && args[2] == "min-replicas-to-write":
		r.st.MinReplicas, _ = strconv.Atoi(args[3])
	case args[0] == "CONFIG" && args[2] == "min-replicas-max-lag":
		r.st.MaxLag, _ = strconv.Atoi(args[3])
	}
}

func bulk(s string) string { return fmt.Sprintf("$%d\r\n%s\r\n", len(s), s) }

func (r *fakeRedis) info() string {
	role, link := "slave", "down"
	if r.st.Master {
		role = "master"
	}
	if r.st.LinkUp {
		link = "up"
	}
	host, port, _ := net.SplitHostPort(r.st.MasterAddr)
	return fmt.Sprintf("run_id:%s\r\nredis_version:7.0.15\r\nrole:%s\r\nmaster_host:%s\r\nmaster_port:%s\r\n"+
		"master_link_status:%s\r\nmaster_replid:%s\r\nmaster_replid2:%s\r\nsecond_repl_offset:%d\r\n"+
		"master_repl_offset:%d\r\nslave_repl_offset:%d\r\ndb0:keys=%d,expires=0\r\n",
		r.st.RunID, role, host, port, link, r.st.Position.ReplID, r.st.Position.ReplID2, r.st.Position.ReplID2EndOffset,
		r.st.Position.Offset, r.st.Position.Offset, r.st.Keys)
}

// fakeConsul is the key-value store with one lock in it. It keeps no history.
type fakeConsul struct {
	log *journal

	mu    sync.Mutex
	kv    map[string]*api.KVPair
	index uint64
	down  bool
	onTxn func(*fakeConsul)
}

const lockKey = "resec/.lock"

func startConsul(t *testing.T, log *journal) (*fakeConsul, *api.Client) {
	t.Helper()
	c := &fakeConsul{log: log, kv: map[string]*api.KVPair{}, index: 1}
	server := httptest.NewServer(c)
	t.Cleanup(server.Close)
	conf := api.DefaultConfig()
	conf.Address = server.URL
	client, err := api.NewClient(conf)
	if err != nil {
		t.Fatal(err)
	}
	return c, client
}

func (c *fakeConsul) put(key string, value []byte, session string, flags uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.index++
	c.kv[key] = &api.KVPair{Key: key, Value: value, Session: session, Flags: flags, ModifyIndex: c.index}
}

func (c *fakeConsul) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.down {
		http.Error(w, "No known Consul servers", http.StatusInternalServerError)
		return
	}
	w.Header().Set("X-Consul-Index", strconv.FormatUint(c.index, 10))
	if r.Method == http.MethodGet {
		c.log.add("consul: read")
		pairs := []*api.KVPair{}
		for _, p := range c.kv {
			pairs = append(pairs, p)
		}
		_ = json.NewEncoder(w).Encode(pairs)
		return
	}
	var ops []struct {
		KV struct {
			Verb, Key, Session string
			Value              []byte
			Index, Flags       uint64
		}
	}
	_ = json.NewDecoder(r.Body).Decode(&ops)
	var reply api.TxnResponse
	for i, op := range ops {
		p := c.kv[op.KV.Key]
		held := p != nil && p.Session == op.KV.Session
		if op.KV.Verb == "check-session" && !held || op.KV.Verb == "cas" && p != nil && p.ModifyIndex != op.KV.Index {
			reply.Errors = append(reply.Errors, &api.TxnError{OpIndex: i, What: "stale"})
		}
	}
	if len(reply.Errors) > 0 {
		w.WriteHeader(http.StatusConflict)
		_ = json.NewEncoder(w).Encode(reply)
		return
	}
	c.index++
	for _, op := range ops {
		p := &api.KVPair{Key: op.KV.Key, Value: op.KV.Value, Flags: op.KV.Flags, ModifyIndex: c.index}
		switch op.KV.Verb {
		case "check-session":
			continue
		case "lock":
			p.Session = op.KV.Session
		case "cas":
			c.log.add("consul: write %s", stateText(op.KV.Value))
		}
		c.kv[op.KV.Key] = p
		reply.Results = append(reply.Results, &api.TxnResult{KV: p})
	}
	if c.onTxn != nil {
		c.onTxn(c)
	}
	_ = json.NewEncoder(w).Encode(reply)
}

func stateText(data []byte) string {
	var s cluster.State
	_ = json.Unmarshal(data, &s)
	if s.Master == nil {
		return "no master"
	}
	return fmt.Sprintf("master %s term %d", s.Master.ID, s.Term())
}

// scene is a cluster of fakes in which the member "me" holds the lock.
type scene struct {
	t      *testing.T
	log    *journal
	consul *fakeConsul
	me     *fakeRedis
	other  map[string]*fakeRedis
	view   cluster.View
	lease  *lock.RenewalDeadline
	Takeover
}

var history = redis.Position{ReplID: "aaaa", Offset: 100}

// replicaOf is a replica that streams from the address and has all data.
func replicaOf(addr string) redis.Status {
	return redis.Status{MasterAddr: addr, LinkUp: true, Position: history, Keys: 1}
}

// newScene starts a published master "old", and the replicas "me" and "b", all recorded.
func newScene(t *testing.T) *scene {
	t.Helper()
	s := &scene{t: t, log: &journal{}, other: map[string]*fakeRedis{}, lease: &lock.RenewalDeadline{}}
	var client *api.Client
	s.consul, client = startConsul(t, s.log)
	old := startRedis(t, s.log, "old", redis.Status{Master: true, Position: history, Keys: 1})
	s.other["old"] = old
	s.other["b"] = startRedis(t, s.log, "b", replicaOf(old.addr))
	s.me = startRedis(t, s.log, "me", replicaOf(old.addr))
	creds := redis.Options{Timeout: time.Second, Name: "resec:me"}
	own := creds
	own.Addr = s.me.addr
	server, err := redis.Open(t.Context(), own)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	state := cluster.State{
		Master: &cluster.Master{Peer: handlers.Peer{ID: "old", Address: old.addr, RunID: "run-old", Term: 4}, Guard: 1,
			MaxLag: 5},
		Members: map[string]cluster.MemberRecord{"old": {RunID: "run-old", Address: old.addr}, "b": {RunID: "run-b",
			Address: s.other["b"].addr},
			"me": {RunID: "run-me", Address: s.me.addr}},
		Histories: []string{"aaaa"}}
	s.view = cluster.View{State: state, Session: "mine", Holder: "me",
		LiveAgents: map[string]cluster.MemberKey{"b": {Session: "b's", RunID: "run-b", Address: s.other["b"].addr},
			"me": {Session: "mine"}}}
	s.lease.Extend(time.Now(), time.Minute)
	s.Takeover = Takeover{
		Lock: lock.Lock{Client: client, Key: lockKey, Member: "me"}, Session: &lock.Session{ID: "mine",
			Lease: lock.Lease{s.lease}},
		Log: slog.New(slog.DiscardHandler), Timeline: NewTimeline(),
		Self: Self{Me: cluster.Master{Peer: handlers.Peer{ID: "me", Address: s.me.addr}}, Service: "redis-master",
			Redis: server, Creds: creds,
			Guard: cluster.GuardPolicy{MaxLag: 5}},
		Peers: Peers{KeepMembers: true, ConfirmEligible: func(context.Context, cluster.State) error { return nil },
			Recorded: []RecordedPeer{{ID: "b", Address: s.other["b"].addr, Session: "b's"}, {ID: "old", Address: old.addr}}},
	}
	return s
}

// start writes the scene's lock and state into Consul.
func (s *scene) start() {
	s.consul.put(lockKey, []byte("me"), "mine", lock.Flag)
	data, _ := json.Marshal(s.view.State)
	s.consul.put(lockKey+"/state", data, "", 0)
	s.view.LockIndex, s.view.StateIndex, s.view.Index = s.consul.index-1, s.consul.index, s.consul.index
}

// run runs the takeover, lets a frozen old master resume, and waits for all of it.
func (s *scene) run() (cluster.View, error) {
	s.t.Helper()
	s.start()
	ctx, cancel := context.WithTimeout(s.t.Context(), 20*time.Second)
	defer cancel()
	done, err := s.Run(ctx, s.view)
	s.other["old"].set(func(f *fake) { f.frozen = false })
	done.Wait()
	return done.View, err
}

// steps are the names of the recorded steps.
func (s *scene) steps() (names []string) {
	for _, step := range s.Timeline.Steps() {
		names = append(names, step.Name)
	}
	return names
}

// errAny stands for an error of any kind in a table.
var errAny = errors.New("any")

func (c *fakeConsul) set(change func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change()
}
