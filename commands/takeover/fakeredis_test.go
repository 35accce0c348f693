package takeover

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"resec/handlers/redis"
)

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
	passive  bool                       // its replica-priority is 0
	sticky   bool                       // REPLICAOF changes nothing
	forbids  string                     // commands that begin so are answered with -NOPERM; empty: none are
	rdb      string                     // what a replica gets as a full sync; empty: PSYNC is not answered so
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
	case r.forbids != "" && strings.HasPrefix(line, r.forbids):
		return "-NOPERM this user has no permissions to run the '" + strings.ToLower(r.forbids) + "' command\r\n"
	case line == "PING":
		return "+PONG\r\n"
	case args[0] == "PSYNC" && r.rdb != "":
		r.log.add("%s: full sync", r.id)
		return fmt.Sprintf("+FULLRESYNC %040d %d\r\n$%d\r\n%s", 1, r.st.Position.Offset, len(r.rdb), r.rdb)
	case line == "INFO":
		return bulk(r.info())
	case strings.HasPrefix(line, "CONFIG GET"):
		priority := "100"
		if r.passive {
			priority = "0"
		}
		conf := []string{"replica-priority", priority, "replica-read-only", "yes",
			"min-replicas-to-write", strconv.Itoa(r.st.MinReplicas), "min-replicas-max-lag", strconv.Itoa(r.st.MaxLag)}
		out := fmt.Sprintf("*%d\r\n", len(conf))
		for _, c := range conf {
			out += bulk(c)
		}
		return out
	case strings.HasPrefix(line, "CLIENT KILL"):
		return ":0\r\n"
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

const lockKey = "resec/.lock"
