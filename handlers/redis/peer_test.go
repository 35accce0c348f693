package redis

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// peer is a TCP peer that replies to commands with prepared bytes. It carries no behaviour of Redis: INFO and CONFIG GET
// reply what a test sets, and any other command replies +OK.
type peer struct {
	net.Listener
	wait sync.WaitGroup

	mu       sync.Mutex
	info     map[string]string // fields that differ from a master's, as of function info
	config   map[string]string
	replies  map[string]string // raw reply by prefix of the command
	handler  func(command string) (reply string, handled bool)
	commands []string
	conns    map[net.Conn]bool
}

func newPeer(t *testing.T, info map[string]string) *peer {
	t.Helper()
	return newPeerAt(t, "127.0.0.1:0", info)
}

func newPeerAt(t *testing.T, addr string, info map[string]string) *peer {
	t.Helper()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	p := &peer{Listener: l, info: map[string]string{}, config: map[string]string{}, replies: map[string]string{}}
	p.conns = map[net.Conn]bool{}
	for name, value := range info {
		p.info[name] = value
	}
	p.wait.Go(p.accept)
	t.Cleanup(func() {
		_ = l.Close()
		p.disconnect()
		p.wait.Wait()
	})
	return p
}

func (p *peer) addr() string { return p.Listener.Addr().String() }

// open opens the peer as a server.
func (p *peer) open(t *testing.T, opt Options) *Server {
	t.Helper()
	if opt.Timeout == 0 {
		opt.Timeout = 5 * time.Second
	}
	s, err := Open(t.Context(), opt.At(p.addr()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func (p *peer) accept() {
	for {
		conn, err := p.Accept()
		if err != nil {
			return
		}
		p.mu.Lock()
		p.conns[conn] = true
		p.mu.Unlock()
		p.wait.Go(func() { p.serve(conn) })
	}
}

func (p *peer) serve(conn net.Conn) {
	defer conn.Close()
	in := bufio.NewReader(conn)
	for {
		command, err := readCommand(in)
		if err != nil {
			return
		}
		_, _ = io.WriteString(conn, p.reply(command))
	}
}

// disconnect ends every connection.
func (p *peer) disconnect() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for conn := range p.conns {
		_ = conn.Close()
		delete(p.conns, conn)
	}
}

// readCommand reads one command, its arguments joined by spaces.
func readCommand(in *bufio.Reader) (string, error) {
	header, err := in.ReadString('\n')
	if err != nil {
		return "", err
	}
	n, err := strconv.Atoi(strings.Trim(header, "*\r\n"))
	if err != nil {
		return "", err
	}
	args := make([]string, n)
	for i := range args {
		length, err := in.ReadString('\n')
		if err != nil {
			return "", err
		}
		size, err := strconv.Atoi(strings.Trim(length, "$\r\n"))
		if err != nil {
			return "", err
		}
		arg := make([]byte, size+2)
		if _, err := io.ReadFull(in, arg); err != nil {
			return "", err
		}
		args[i] = string(arg[:size])
	}
	return strings.Join(args, " "), nil
}

func (p *peer) reply(command string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.commands = append(p.commands, command)
	if p.handler != nil {
		if reply, handled := p.handler(command); handled {
			return reply
		}
	}
	for prefix, reply := range p.replies {
		if strings.HasPrefix(command, prefix) {
			return reply
		}
	}
	switch {
	case command == "INFO":
		return bulk(info(p.info))
	case strings.HasPrefix(command, "CONFIG GET"):
		reply := fmt.Sprintf("*%d\r\n", 2*len(p.config))
		for name, value := range p.config {
			reply += bulk(name) + bulk(value)
		}
		return reply
	}
	return "+OK\r\n"
}

// bulk is a string in RESP.
func bulk(text string) string { return fmt.Sprintf("$%d\r\n%s\r\n", len(text), text) }

// set sets what CONFIG GET replies.
func (p *peer) set(name, value string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.config[name] = value
}

// setInfo sets what INFO replies.
func (p *peer) setInfo(change map[string]string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for name, value := range change {
		p.info[name] = value
	}
}

// fail makes commands with a prefix reply a line.
func (p *peer) fail(prefix, line string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.replies[prefix] = line + "\r\n"
}

// succeed ends the effect of fail.
func (p *peer) succeed(prefix string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.replies, prefix)
}

// received are the commands so far.
func (p *peer) received() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.commands...)
}

// count is the number of commands so far with a prefix.
func (p *peer) count(prefix string) (n int) {
	for _, command := range p.received() {
		if strings.HasPrefix(command, prefix) {
			n++
		}
	}
	return n
}

// unchanging are prefixes of commands that read, or begin a connection.
var unchanging = []string{"INFO", "PING", "HELLO", "CONFIG GET", "CLIENT SETNAME", "AUTH"}

// changes are the commands so far that neither read nor begin a connection.
func (p *peer) changes() (commands []string) {
	for _, command := range p.received() {
		if !slices.ContainsFunc(unchanging, func(prefix string) bool { return strings.HasPrefix(command, prefix) }) {
			commands = append(commands, command)
		}
	}
	return commands
}

// counts counts what is done.
type counts struct{ fenced, parked, errors atomic.Int32 }

func (c *counts) Fenced()     { c.fenced.Add(1) }
func (c *counts) Parked()     { c.parked.Add(1) }
func (c *counts) RedisError() { c.errors.Add(1) }

// patience bounds every wait; no test comes near it unless it fails.
const patience = 10 * time.Second

// eventually waits until the condition holds.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	timeout := time.After(patience)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-timeout:
			t.Fatalf("not in time: %s", what)
		case <-tick.C:
		}
	}
}
