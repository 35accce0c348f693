package sentinel

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"resec/commands/expect"
	"resec/commands/topology"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("resec/scripts/lab.spawn.func1.1")) // it starts the processes of all tests
}

// serving starts a server that the test stops. Its cluster is "n": a master, a replica that streams and one that does not.
func serving(t *testing.T, change ...func(*Options)) *Server {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	expect.OK(t, err)
	o := Options{DownAfter: time.Second, MaxConns: 100, Log: slog.New(slog.DiscardHandler),
		Login: func() (string, string) { return "", "" }}
	for _, c := range change {
		c(&o)
	}
	s := Serve(t.Context(), l, "n", o)
	s.SetID("own")
	t.Cleanup(s.Close)
	return s
}

var (
	first = topology.Instance{ID: "a", Addr: "10.0.0.1:6379", RunID: "run-a", Version: "7.0.15", Term: 4, Up: true}
	other = topology.Instance{ID: "b", Addr: "10.0.0.2:6379", RunID: "run-b", Version: "7.0.15", Term: 4, Up: true}
)

func healthy() Topology {
	return Topology{Name: "n", Master: first, Replicas: []topology.Instance{other, {ID: "c", Addr: "10.0.0.3:6379", Term: 4, Since: time.Unix(1e9, 0)}},
		Endpoints: []topology.Peer{{ID: "own", Addr: "10.0.0.1:26379"}, {ID: "second", Addr: "10.0.0.2:26379"}}, Reachable: true}
}

func password(p string) func(*Options) {
	return func(o *Options) { o.Login = func() (string, string) { return "", p } }
}

func (s *Server) addr() string { return s.listener.Addr().String() }

// conversation is requests and what they are answered.
type conversation [][2]string

func (want conversation) run(t *testing.T, c *client) {
	t.Helper()
	for _, step := range want {
		if got := c.ask(step[0]); got != step[1] {
			t.Errorf("%s\n got %q\nwant %q", step[0], got, step[1])
		}
	}
}

func TestServer_Sentinel(t *testing.T) {
	s := serving(t)
	c := dial(t, s.addr())
	conversation{
		{"SENTINEL get-master-addr-by-name n", "*null"},
		{"SENTINEL MASTERS", "*[]"},
		{"SENTINEL MASTER n", "-ERR No such master with that name"},
		{"SENTINEL CKQUORUM n", "-ERR No such master with that name"},
		{"ROLE", "*[sentinel *[n]]"},
	}.run(t, c)
	s.Publish(healthy())
	conversation{
		{"SENTINEL get-master-addr-by-name n", "*[10.0.0.1 6379]"},
		{"SENTINEL GET-PRIMARY-ADDR-BY-NAME n", "*[10.0.0.1 6379]"},
		{"SENTINEL get-master-addr-by-name N", "*null"},
		{"SENTINEL CKQUORUM n", "+OK 2 usable Sentinels. Quorum and failover authorization can be reached"},
		{"SENTINEL IS-MASTER-DOWN-BY-ADDR 10.0.0.1 6379 0 *", "*[:0 * :0]"},
		{"SENTINEL IS-MASTER-DOWN-BY-ADDR 10.0.0.1 x 0 *", "-ERR value is not an integer or out of range"},
		{"SENTINEL MYID", "own"},
		{"SENTINEL RESET *", ":0"},
		{"SENTINEL SET n quorum 2", "-" + string(unsupported)},
		{"SENTINEL FAILOVER n", "-ERR this endpoint starts no failover: use resec switchover"},
		{"SENTINEL FAILOVER x", "-ERR No such master with that name"},
		{"SENTINEL INFO-CACHE x n", "*[n *[*[:0 # Server\r\nrun_id:run-a\r\n\r\n# Replication\r\nrole:master\r\n] " +
			"*[:0 # Server\r\nrun_id:run-b\r\n\r\n# Replication\r\nrole:slave\r\n] " +
			"*[:0 # Server\r\nrun_id:\r\n\r\n# Replication\r\nrole:slave\r\n]]]"},
		{"SENTINEL x", "-ERR unknown subcommand 'x'. Try SENTINEL HELP."},
		{"SENTINEL", "-ERR wrong number of arguments for 'sentinel' command"},
		{"SENTINEL master", "-ERR wrong number of arguments for 'sentinel|master' command"},
		{"GET a b", "-ERR unknown command 'GET', with args beginning with: 'a' 'b' "},
	}.run(t, c)
	gone := healthy()
	gone.Master.Up, gone.Master.Gone, gone.Reachable = false, true, false
	s.Publish(gone)
	conversation{
		{"SENTINEL get-master-addr-by-name n", "*[10.0.0.1 6379]"},
		{"SENTINEL IS-MASTER-DOWN-BY-ADDR 10.0.0.1 6379 0 *", "*[:1 * :0]"},
		{"SENTINEL CKQUORUM n", "-NOQUORUM 2 usable Sentinels. Consul does not answer, so no failover can be authorized"},
	}.run(t, c)
}

// The records have what each client reads: see the comments.
func TestServer_Records(t *testing.T) {
	s := serving(t)
	s.Publish(healthy())
	c := dial(t, s.addr())
	for _, tt := range []struct {
		request string
		want    []string
	}{
		{"SENTINEL MASTERS", []string{"name n ip 10.0.0.1 port 6379 runid run-a flags master ", " num-slaves 2 ",
			" num-other-sentinels 1 ", " config-epoch 4 ", " quorum 2 "}}, // redis-py, node-redis
		{"SENTINEL REPLICAS n", []string{"name 10.0.0.2:6379 ip 10.0.0.2 port 6379 runid run-b flags slave ",
			" master-link-status ok master-host 10.0.0.1 master-port 6379 ",       // Redisson
			"name 10.0.0.3:6379 ip 10.0.0.3 port 6379 runid  flags s_down,slave ", // go-redis, redis-py
			" s-down-time ", // rueidis
			" master-link-status err "}},
		{"SENTINEL SENTINELS n", []string{"name second ip 10.0.0.2 port 26379 runid second flags sentinel "}},
		{"INFO", []string{"redis_version:7.0.15\r\n", "redis_mode:sentinel\r\n",
			"master0:name=n,status=ok,address=10.0.0.1:6379,slaves=2,sentinels=2\r\n"}},
	} {
		got := c.ask(tt.request)
		for _, want := range tt.want {
			if !strings.Contains(got, want) {
				t.Errorf("%s: no %q in %q", tt.request, want, got)
			}
		}
	}
	if got := c.ask("SENTINEL SENTINELS n"); strings.Contains(got, " own ") {
		t.Errorf("an endpoint names itself: %s", got)
	}
	down := healthy()
	down.Master.Up, down.Master.Gone = false, true
	down.Replicas[0].Up, down.Replicas[0].Gone = false, true
	s.Publish(down)
	for request, want := range map[string]string{
		"SENTINEL MASTER n":   " flags s_down,o_down,master ",
		"SENTINEL REPLICAS n": " flags s_down,slave,disconnected ",
		"INFO sentinel":       "# Sentinel\r\nsentinel_masters:1\r\n",
	} {
		if got := c.ask(request); !strings.Contains(got, want) {
			t.Errorf("%s: no %q in %q", request, want, got)
		}
	}
}

func TestServer_Connection(t *testing.T) {
	s := serving(t)
	c := dial(t, s.addr())
	conversation{
		{"PING", "+PONG"}, {"PING hi", "hi"}, {"PING a b", "-ERR wrong number of arguments for 'ping' command"},
		{"CLIENT GETNAME", "$null"}, {"CLIENT SETNAME app", "+OK"}, {"CLIENT GETNAME", "app"},
		{"CLIENT SETINFO LIB-NAME x", "+OK"}, {"CLIENT SETINFO lib-ver 1", "+OK"},
		{"CLIENT SETINFO a b", "-ERR Unrecognized option 'a'"}, {"CLIENT ID", ":1"}, {"CLIENT TRACKING ON OPTIN", "+OK"},
		{"CLIENT NO-EVICT ON", "+OK"}, {"CLIENT REPLY ON", "+OK"}, {"CLIENT REPLY x", "-ERR syntax error"},
		{"COMMAND DOCS", "*[]"}, {"COMMAND", "*[]"}, {"COMMAND COUNT", fmt.Sprint(":", len(commandTable))},
		{"PUBLISH a b", "-ERR Only HELLO messages are accepted by Sentinel instances."},
		{"HELLO 4", "-NOPROTO unsupported protocol version"},
		{"HELLO x", "-ERR Protocol version is not an integer or out of range"},
		{"HELLO 3 SETNAME", "-ERR Syntax error in HELLO option 'SETNAME'"},
		{"HELLO 3 SETNAME new", "%[server redis version 6.0.0 proto :3 id :1 mode sentinel modules *[]]"},
		{"CLIENT GETNAME", "new"}, {"SENTINEL get-master-addr-by-name n", "_"},
		{"HELLO", "%[server redis version 6.0.0 proto :3 id :1 mode sentinel modules *[]]"},
		{"RESET", "+RESET"}, {"CLIENT GETNAME", "$null"},
		{"AUTH x", "-ERR AUTH <password> called without any password configured for the default user. Are you sure your " +
			"configuration is correct?"},
		{"AUTH default x", "+OK"}, {"AUTH other x", "-WRONGPASS invalid username-password pair or user is disabled."},
	}.run(t, c)
	if got := c.ask("CLIENT INFO"); !strings.Contains(got, " cmd=client|info ") || !strings.Contains(got, " lib-name=x lib-ver=1") {
		t.Error(got)
	}
	dial(t, s.addr()).ask("PING")
	if got := c.ask("CLIENT LIST"); strings.Count(got, "\n") != 2 {
		t.Error(got)
	}
	c.send("CLIENT REPLY SKIP", "PING", "PING a", "CLIENT REPLY OFF", "PING b")
	conversation{{"CLIENT REPLY ON", "a"}}.run(t, c)
	if got := c.next(); got != "+OK" {
		t.Errorf("after CLIENT REPLY ON: %s", got)
	}
	if got := c.ask("QUIT"); got != "+OK" || !c.ended() {
		t.Errorf("QUIT: %s", got)
	}
}

func TestServer_Password(t *testing.T) {
	s := serving(t, password("secret"))
	s.Publish(healthy())
	c := dial(t, s.addr())
	conversation{
		{"PING", "-NOAUTH Authentication required."},
		{"SENTINEL MASTERS", "-NOAUTH Authentication required."},
		{"x", "-NOAUTH Authentication required."},
		{"SUBSCRIBE a", "-NOAUTH Authentication required."},
		{"AUTH wrong", "-WRONGPASS invalid username-password pair or user is disabled."},
		{"AUTH other secret", "-WRONGPASS invalid username-password pair or user is disabled."},
		{"HELLO 3 AUTH default wrong", "-WRONGPASS invalid username-password pair or user is disabled."},
		{"HELLO 3", "-NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> " +
			"<pass> option can be used to authenticate the client and select the RESP protocol version at the same time"},
		{"AUTH secret", "+OK"}, {"PING", "+PONG"}, {"RESET", "+RESET"}, {"PING", "-NOAUTH Authentication required."},
		{"AUTH default secret", "+OK"}, {"PING", "+PONG"},
	}.run(t, c)
	if got := dial(t, s.addr()).ask("HELLO 3 AUTH default secret"); !strings.HasPrefix(got, "%[server redis ") {
		t.Error(got)
	}
	named := serving(t, func(o *Options) { o.Login = func() (string, string) { return "app", "secret" } })
	conversation{
		{"AUTH secret", "-WRONGPASS invalid username-password pair or user is disabled."},
		{"AUTH app secret", "+OK"}, {"PING", "+PONG"},
	}.run(t, dial(t, named.addr()))
}

// A subscriber gets each event once, as soon as it is published, in both protocols.
func TestServer_Subscriptions(t *testing.T) {
	s := serving(t)
	s.Publish(healthy())
	two, three := dial(t, s.addr()), dial(t, s.addr())
	conversation{
		{"SUBSCRIBE +switch-master", "*[subscribe +switch-master :1]"},
		{"PSUBSCRIBE [-+]sdown", "*[psubscribe [-+]sdown :2]"},
		{"PING", "*[pong ]"}, {"PING hi", "*[pong hi]"},
		{"SENTINEL MASTERS", "-ERR Can't execute 'sentinel': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are " +
			"allowed in this context"},
	}.run(t, two)
	conversation{
		{"HELLO 3", "%[server redis version 7.0.15 proto :3 id :2 mode sentinel modules *[]]"},
		{"SUBSCRIBE +switch-master a", ">[subscribe +switch-master :1]"},
	}.run(t, three)
	if got := three.next(); got != ">[subscribe a :2]" {
		t.Error(got)
	}
	moved := healthy()
	moved.Master, moved.Replicas = other, []topology.Instance{first}
	moved.Master.Term++
	s.Publish(moved)
	const message = " +switch-master n 10.0.0.1 6379 10.0.0.2 6379]"
	if got := two.next(); got != "*[message"+message {
		t.Error(got)
	}
	if got := three.next(); got != ">[message"+message {
		t.Error(got)
	}
	conversation{
		{"PING", "+PONG"}, {"SENTINEL get-master-addr-by-name n", "*[10.0.0.2 6379]"},
		{"UNSUBSCRIBE a", ">[unsubscribe a :1]"}, {"UNSUBSCRIBE", ">[unsubscribe +switch-master :0]"},
		{"UNSUBSCRIBE", ">[unsubscribe _ :0]"}, {"PUNSUBSCRIBE", ">[punsubscribe _ :0]"},
	}.run(t, three)
	s.Publish(func() Topology { m := moved; m.Master.Up, m.Master.Gone = false, true; return m }())
	if got := two.next(); got != "*[pmessage [-+]sdown +sdown master n 10.0.0.2 6379]" {
		t.Error(got)
	}
	conversation{{"UNSUBSCRIBE", "*[unsubscribe +switch-master :1]"}, {"PUNSUBSCRIBE", "*[punsubscribe [-+]sdown :0]"},
		{"PING", "+PONG"}}.run(t, two)
}

func TestServer_Failover(t *testing.T) {
	var result error
	s := serving(t, func(o *Options) { o.Failover = func(context.Context) error { return result } })
	s.Publish(healthy())
	c := dial(t, s.addr())
	for _, tt := range []struct {
		err  error
		want string
	}{
		{nil, "+OK"}, {ErrInProgress, "-INPROG Failover already in progress"},
		{RefusedError("refused: the cluster is paused"), "-NOGOODSLAVE refused: the cluster is paused"},
		{errors.New("no answer"), "-ERR no answer"},
	} {
		result = tt.err
		conversation{{"SENTINEL FAILOVER n", tt.want}}.run(t, c)
	}
}

// Bytes that are no request are answered by an error, and the connection ends.
func TestServer_BadRequest(t *testing.T) {
	c := dial(t, serving(t).addr())
	_, err := c.conn.Write([]byte("*1\r\n$9223372036854775807\r\n"))
	expect.OK(t, err)
	if got := c.next(); got != "-ERR Protocol error: invalid bulk length" || !c.ended() {
		t.Error(got)
	}
}

func TestServer_TooManyClients(t *testing.T) {
	s := serving(t, func(o *Options) { o.MaxConns = 1 })
	one := dial(t, s.addr())
	expect.Equal(t, "the first client", one.ask("PING"), "+PONG")
	two := dial(t, s.addr())
	if got := two.next(); got != "-ERR max number of clients reached" || !two.ended() {
		t.Error(got)
	}
	expect.Equal(t, "the first client", one.ask("QUIT"), "+OK")
	until(t, func() bool { return len(s.clients()) == 0 })
	expect.Equal(t, "the next client", dial(t, s.addr()).ask("PING"), "+PONG")
}

// A client that reads nothing is disconnected once it has too much to read. It delays nobody: another one gets every event.
func TestServer_SlowSubscriber(t *testing.T) {
	var log expect.Log
	s := serving(t, func(o *Options) { o.Log = slog.New(slog.NewTextHandler(&log, nil)) })
	s.Publish(healthy())
	slow, quick := dial(t, s.addr()), dial(t, s.addr())
	for _, c := range []*client{slow, quick} {
		c.send("PSUBSCRIBE *")
		c.next()
	}
	moved := healthy()
	moved.Master, moved.Replicas = other, []topology.Instance{first}
	each := len(events(healthy(), moved)) + len(events(moved, healthy()))
	until(t, func() bool {
		for range 20 {
			s.Publish(moved)
			s.Publish(healthy())
		}
		for range 20 * each {
			quick.next()
		}
		return len(s.clients()) == 1
	})
	expect.Equal(t, "the client that is left", s.clients()[0].raw.RemoteAddr().String(), quick.conn.LocalAddr().String())
	expect.OK(t, log.Count("event=sentinel_client_dropped", 1))
}

// A RESET leaves the time to authenticate again, however long the client has been connected.
func TestServer_ResetLeavesTimeToAuthenticate(t *testing.T) {
	s := serving(t, password("secret"))
	c := dial(t, s.addr())
	expect.Equal(t, "AUTH", c.ask("AUTH secret"), "+OK")
	of := s.clients()[0]
	of.mu.Lock()
	of.since = of.since.Add(-time.Hour)
	of.mu.Unlock()
	conversation{{"RESET", "+RESET"}, {"PING", "-NOAUTH Authentication required."}, {"AUTH secret", "+OK"}, {"PING", "+PONG"}}.run(t, c)
}

// What a client can make an endpoint remember is bounded.
func TestServer_Limits(t *testing.T) {
	c := dial(t, serving(t).addr())
	long := strings.Repeat("x", maxName+1)
	for _, request := range []string{"SUBSCRIBE " + long, "PSUBSCRIBE " + long, "CLIENT SETNAME " + long, "CLIENT SETINFO LIB-NAME " + long,
		"HELLO 2 SETNAME " + long} {
		if got := c.ask(request); !strings.HasPrefix(got, "-ERR ") {
			t.Errorf("%.30s…: %.60s", request, got)
		}
	}
	for i := range maxSubscriptions {
		c.ask(fmt.Sprint("SUBSCRIBE ", i))
	}
	if got := c.ask("SUBSCRIBE more"); !strings.HasPrefix(got, "-ERR takes at most 64 channels") {
		t.Error(got)
	}
}

// until waits for a condition.
func until(t *testing.T, is func() bool) {
	t.Helper()
	deadline := time.Now().Add(expect.Patience)
	for !is() {
		if time.Now().After(deadline) {
			t.Fatal("not so in time")
		}
		<-time.After(time.Millisecond)
	}
}
