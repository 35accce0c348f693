package redis

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// EmergencyFence fences and parks a server that has stopped responding, as the first thing that the server does when it
// resumes. A client that waits for replies cannot do that. So the connection is opened while the server responds, and written
// to without waiting. A frozen server has the commands in its socket, and executes them in one pass. It is safe for
// concurrent use.
type EmergencyFence struct {
	opt Options

	mu       sync.Mutex
	conn     net.Conn  // nil: none
	accepted bool      // the server has completed the handshake on conn
	used     time.Time // when a command was last sent on conn, but for the fence itself
}

// NewEmergencyFence returns one without a connection.
func NewEmergencyFence(opt Options) *EmergencyFence {
	opt.sent = &sentPasswords{}
	return &EmergencyFence{opt: opt}
}

// Connect opens the connection, unless it is open. Redis closes an idle one after its `timeout`: see Keep. It returns an error if
// the server cannot be dialled or rejects the handshake.
func (f *EmergencyFence) Connect(ctx context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.connected() {
		return nil
	}
	conn, err := f.opt.connect(ctx)
	if err == nil {
		f.conn, f.accepted, f.used = conn, true, time.Now()
	}
	return err
}

// errNoHandshake is returned if the server may reject the commands, because it has not replied to the handshake.
var errNoHandshake = errors.New("sent on a connection without a completed handshake")

// errNotDelivered is returned if the server's machine did not acknowledge the commands: it is unreachable, and not frozen.
var errNotDelivered = errors.New("the server's host does not acknowledge what was sent")

// Send sends the commands, on a new connection if none is open. If it returns nil, the server's host has received them, and
// the server executes them before anything else. It returns an error if the server cannot be dialled, or its host does not
// acknowledge the commands within ackTimeout or the context. It also returns one for a new connection, because the server may
// still reject the login. On an open connection the commands are written even if the context has ended.
func (f *EmergencyFence) Send(ctx context.Context) error {
	err := f.send(ctx)
	if err != nil {
		f.opt.counters().RedisError()
		return err
	}
	f.opt.counters().Fenced()
	f.opt.counters().Parked()
	return nil
}

func (f *EmergencyFence) send(ctx context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	commands := emergencyCommands()
	if !f.connected() {
		conn, err := f.opt.dial(ctx, &net.Dialer{Timeout: f.opt.Timeout})
		if err != nil {
			return fmt.Errorf("dial redis %s: %w", f.opt.Addr, err)
		}
		f.conn = conn
		commands = append(f.opt.handshake(), commands...)
	}
	var text strings.Builder
	for _, command := range commands {
		text.WriteString(encodeCommand(command))
	}
	_ = f.conn.SetDeadline(time.Now().Add(f.opt.Timeout))
	_, err := io.WriteString(f.conn, text.String())
	if err != nil {
		f.drop()
	} else {
		err = waitForAck(ctx, f.conn)
	}
	if err == nil && !f.accepted {
		err = errNoHandshake
	}
	if err != nil {
		return fmt.Errorf("fence and park redis %s: %w", f.opt.Addr, err)
	}
	return nil
}

// emergencyCommands fence and park a server whose settings are not known.
func emergencyCommands() [][]string {
	return [][]string{
		{"CONFIG", "SET", "min-replicas-max-lag", defaultMaxLag}, // with 0 Redis would ignore the next setting
		setMinReplicas(fenceOver(0)),
		setReadOnly,
		{"REPLICAOF", sinkHost, sinkPort},
	}
}

const (
	// ackTimeout bounds the wait until the other host's kernel has acknowledged what was sent; it does so for a frozen
	// process too.
	ackTimeout = 200 * time.Millisecond
	// ackInterval is the interval at which the socket is asked: the kernel has no event for an acknowledgement.
	ackInterval = time.Millisecond
)

// waitForAck waits until the other host has acknowledged all that was written. It returns errNotDelivered after ackTimeout or
// at the end of the context, and an error for a connection that is not TCP.
func waitForAck(ctx context.Context, conn net.Conn) error {
	tcp, err := tcpOf(conn)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, ackTimeout)
	defer cancel()
	for {
		n, err := unacknowledged(tcp)
		if err != nil || n == 0 {
			return err
		}
		if !sleep(ctx, ackInterval) {
			return errNotDelivered
		}
	}
}

// tcpOf is the TCP connection below TLS and our own wrapper. It returns an error if there is none.
func tcpOf(conn net.Conn) (*net.TCPConn, error) {
	for {
		wrapper, ok := conn.(interface{ NetConn() net.Conn })
		if !ok {
			break
		}
		conn = wrapper.NetConn()
	}
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return nil, fmt.Errorf("cannot read acknowledgements of a %T", conn)
	}
	return tcp, nil
}

// unacknowledged is the number of bytes that were written and not acknowledged. It returns an error for a closed connection.
func unacknowledged(tcp *net.TCPConn) (n int, err error) {
	raw, err := tcp.SyscallConn()
	if err != nil {
		return 0, err
	}
	if control := raw.Control(func(fd uintptr) { n, err = unix.IoctlGetInt(int(fd), unix.TIOCOUTQ) }); control != nil {
		return 0, control
	}
	return n, err
}

// Close ends the connection. The server still reads what was sent.
func (f *EmergencyFence) Close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.drop()
}

func (f *EmergencyFence) drop() {
	if f.conn != nil {
		f.conn.Close()
		f.conn, f.accepted = nil, false
	}
}

// connected reports whether a connection is open and its handshake complete. It drops any other one.
func (f *EmergencyFence) connected() bool {
	if !f.accepted || waitForEnd(f.conn, time.Millisecond) {
		f.drop()
		return false
	}
	return true
}
