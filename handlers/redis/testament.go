package redis

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Testament is what a master that has stopped answering is to do first when it goes on: fence itself, and park. A client
// that waits for answers cannot say so, for a new connection is greeted by nobody. So this is a connection that is opened
// while all is well, and written to without waiting; what is written waits in the socket of a frozen server, and is read
// by it in one go.
type Testament struct {
	opt Options

	mu   sync.Mutex
	conn net.Conn // greeted; nil: none
}

// NewTestament is one whose connection is not open yet.
func NewTestament(opt Options) *Testament { return &Testament{opt: opt} }

// Ready opens the connection where there is none that stands. Redis may end one that says nothing (`timeout`).
func (t *Testament) Ready(ctx context.Context) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.stands() {
		return nil
	}
	conn, err := t.opt.greet(ctx)
	if err == nil {
		t.conn = conn
	}
	return err
}

// errUngreeted is returned for what was written blindly: whether the server lets us in is not known.
var errUngreeted = errors.New("sent over a connection that the server has not greeted")

// Execute writes it, over a connection of this moment where there is none that stands. nil: it is on the server's machine, and
// the first that the server will do.
func (t *Testament) Execute(ctx context.Context) error {
	err := t.execute(ctx)
	if err != nil {
		t.opt.tally().RedisError()
		return err
	}
	t.opt.tally().Fenced()
	t.opt.tally().Parked()
	return nil
}

func (t *Testament) execute(ctx context.Context) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	var will strings.Builder
	greeted := t.stands()
	if !greeted {
		conn, err := t.opt.dial(ctx, &net.Dialer{Timeout: t.opt.Timeout})
		if err != nil {
			return fmt.Errorf("dial redis %s: %w", t.opt.Addr, err)
		}
		t.conn = conn
		for _, cmd := range t.opt.greeting() {
			will.WriteString(encode(cmd))
		}
	}
	for _, cmd := range [][]string{
		{"CONFIG", "SET", "min-replicas-max-lag", "10"}, // with 0 the next would mean nothing
		{"CONFIG", "SET", "min-replicas-to-write", strconv.Itoa(fenceOver(0))},
		readOnly,
		{"REPLICAOF", sinkHost, sinkPort},
	} {
		will.WriteString(encode(cmd))
	}
	_ = t.conn.SetDeadline(time.Now().Add(t.opt.Timeout))
	if _, err := io.WriteString(t.conn, will.String()); err != nil {
		t.drop()
		return fmt.Errorf("fence and park redis %s: %w", t.opt.Addr, err)
	}
	err := t.arrived()
	if err == nil && !greeted {
		err = errUngreeted
	}
	if err != nil {
		err = fmt.Errorf("fence and park redis %s: %w", t.opt.Addr, err)
	}
	return err
}

// arriveFor bounds the wait until the other machine's kernel has acknowledged what was sent: a frozen process's does at once.
const arriveFor = 200 * time.Millisecond

// arrived returns nil once nothing of what was written is on its way any more: what waits in our own socket is not in the
// server's, and a server that cannot be reached is not frozen.
func (t *Testament) arrived() error {
	conn := t.conn
	for over, ok := conn.(interface{ NetConn() net.Conn }); ok; over, ok = conn.(interface{ NetConn() net.Conn }) {
		conn = over.NetConn()
	}
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return fmt.Errorf("whether it arrives cannot be told of a %T", conn)
	}
	raw, err := tcp.SyscallConn()
	for end := time.Now().Add(arriveFor); err == nil; {
		left := 0
		if c := raw.Control(func(fd uintptr) { left, err = unix.IoctlGetInt(int(fd), unix.TIOCOUTQ) }); c != nil {
			err = c
		}
		switch {
		case err == nil && left == 0:
			return nil
		case err == nil && time.Now().After(end):
			err = errors.New("it does not arrive there")
		}
		time.Sleep(time.Millisecond) // the kernel tells nobody
	}
	return err
}

// Close ends the connection. What was written is read all the same.
func (t *Testament) Close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.drop()
}

func (t *Testament) drop() {
	if t.conn != nil {
		t.conn.Close()
		t.conn = nil
	}
}

// stands tells whether the server has not ended the connection, and drops one that it has.
func (t *Testament) stands() bool {
	if t.conn == nil {
		return false
	}
	_ = t.conn.SetReadDeadline(time.Now().Add(time.Millisecond))
	var ne net.Error
	if _, err := t.conn.Read(make([]byte, 512)); err == nil || errors.As(err, &ne) && ne.Timeout() {
		return true
	}
	t.drop()
	return false
}
