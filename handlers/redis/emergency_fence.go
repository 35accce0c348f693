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

// EmergencyFence is what a master that has stopped answering is to do first when it goes on: fence itself, and park. A client
// that waits for answers cannot say so, for a new connection is greeted by nobody. So this is a connection that is opened
// while all is well, and written to without waiting; what is written waits in the socket of a frozen server, and is read
// by it in one go.
type EmergencyFence struct {
	opt Options

	mu   sync.Mutex
	conn net.Conn // greeted; nil: none
}

// NewEmergencyFence is one whose connection is not open yet.
func NewEmergencyFence(opt Options) *EmergencyFence { return &EmergencyFence{opt: opt} }

// Connect opens the connection where there is none that stands. Redis may end one that says nothing (`timeout`).
func (t *EmergencyFence) Connect(ctx context.Context) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.connected() {
		return nil
	}
	conn, err := t.opt.connect(ctx)
	if err == nil {
		t.conn = conn
	}
	return err
}

// errNoHandshake is returned for what was written blindly: whether the server lets us in is not known.
var errNoHandshake = errors.New("sent over a connection that the server has not greeted")

// Send writes it, over a connection of this moment where there is none that stands. nil: it is on the server's machine, and
// the first that the server will do.
func (t *EmergencyFence) Send(ctx context.Context) error {
	err := t.send(ctx)
	if err != nil {
		t.opt.counters().RedisError()
		return err
	}
	t.opt.counters().Fenced()
	t.opt.counters().Parked()
	return nil
}

func (t *EmergencyFence) send(ctx context.Context) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	var will strings.Builder
	greeted := t.connected()
	if !greeted {
		conn, err := t.opt.dial(ctx, &net.Dialer{Timeout: t.opt.Timeout})
		if err != nil {
			return fmt.Errorf("dial redis %s: %w", t.opt.Addr, err)
		}
		t.conn = conn
		for _, cmd := range t.opt.handshake() {
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
	err := t.waitForAck()
	if err == nil && !greeted {
		err = errNoHandshake
	}
	if err != nil {
		err = fmt.Errorf("fence and park redis %s: %w", t.opt.Addr, err)
	}
	return err
}

// ackTimeout bounds the wait until the other machine's kernel has acknowledged what was sent: a frozen process's does at once.
const ackTimeout = 200 * time.Millisecond

// waitForAck returns nil once nothing of what was written is on its way any more: what waits in our own socket is not in the
// server's, and a server that cannot be reached is not frozen.
func (t *EmergencyFence) waitForAck() error {
	conn := t.conn
	for over, ok := conn.(interface{ NetConn() net.Conn }); ok; over, ok = conn.(interface{ NetConn() net.Conn }) {
		conn = over.NetConn()
	}
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return fmt.Errorf("whether it arrives cannot be told of a %T", conn)
	}
	raw, err := tcp.SyscallConn()
	for end := time.Now().Add(ackTimeout); err == nil; {
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
func (t *EmergencyFence) Close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.drop()
}

func (t *EmergencyFence) drop() {
	if t.conn != nil {
		t.conn.Close()
		t.conn = nil
	}
}

// connected tells whether the server has not ended the connection, and drops one that it has.
func (t *EmergencyFence) connected() bool {
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
