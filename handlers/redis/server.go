// Package redis is about one Redis server: its status, its health, and the few commands that change its role or refuse its
// writes.
//
// A Server is safe for concurrent use. It starts no goroutines beyond those of its rueidis client, which Close ends. Watch
// runs in its caller's goroutine and joins the one that keeps its connection open. An EmergencyFence has a mutex and no
// goroutine; Keep runs in its caller's.
package redis

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"

	"github.com/redis/rueidis"
)

// The buffers of a connection, in bytes. A sidecar sends little: rueidis's default of half a megabyte would be most of its
// memory.
const (
	readBuffer  = 16 << 10
	writeBuffer = 4 << 10
	ringScale   = 4 // a ring of 2^4 commands in flight
)

// Server is one Redis server. It survives a restart of that server: a call fails, and a later call dials again.
type Server struct {
	opt    Options
	client rueidis.Client
	dialer *dialer
}

// Open prepares a server, which need not be up: a failed dial shows in the first command. It blocks for at most twice
// the timeout, and no longer than the context, which does not matter afterwards. It returns an error if the options are invalid.
func Open(ctx context.Context, opt Options) (*Server, error) {
	opt.sent = &sentPasswords{}
	d := &dialer{ctx: ctx, opt: opt, opening: true}
	client, err := rueidis.NewClient(rueidis.ClientOption{
		InitAddress: []string{opt.Addr}, ClientName: opt.Name,
		AuthCredentialsFn: func(rueidis.AuthCredentialsContext) (rueidis.AuthCredentials, error) {
			l := opt.login()
			return rueidis.AuthCredentials{Username: l.Username, Password: l.Password}, nil
		},
		ForceSingleClient: true, DisableCache: true, DisableRetry: true, AlwaysRESP2: true,
		ClientSetInfo:    rueidis.DisableClientSetInfo, // unknown before Redis 7.2, and an ACL would have to allow it
		ConnWriteTimeout: opt.Timeout,
		Dialer:           net.Dialer{Timeout: opt.Timeout, KeepAlive: opt.keepAlive()},
		DialCtxFn:        d.dial,

		ReadBufferEachConn: readBuffer, WriteBufferEachConn: writeBuffer, RingScaleEachConn: ringScale,
	})
	d.opened()
	if client == nil {
		return nil, fmt.Errorf("open redis %s: %w", opt.Addr, err)
	}
	return &Server{opt: opt, client: client, dialer: d}, nil
}

// dialer dials for a client. Until Open returns, its context ends a dial and the handshake on that connection.
type dialer struct {
	ctx context.Context // of Open
	opt Options

	mu      sync.Mutex
	opening bool
	closed  bool
	release func() bool // detaches the first connection from the context
}

// errClosed is returned for a command to a server after Close.
var errClosed = errors.New("the server was closed")

// dial returns errClosed after Close, also for a dial that was under way: a rueidis client itself would connect again.
func (d *dialer) dial(ctx context.Context, _ string, netDialer *net.Dialer, _ *tls.Config) (net.Conn, error) {
	if d.isOpening() {
		ctx = d.ctx
	}
	conn, err := d.opt.dial(ctx, netDialer)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		_ = conn.Close()
		return nil, errClosed
	}
	if d.opening {
		d.release = context.AfterFunc(d.ctx, func() { _ = conn.Close() })
	}
	return conn, nil
}

func (d *dialer) isOpening() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.opening
}

// opened ends the influence of Open's context.
func (d *dialer) opened() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.opening = false
	if d.release != nil {
		d.release()
	}
}

// close makes every dial fail from now on.
func (d *dialer) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
}

// Addr is the host:port that the server was opened with.
func (s *Server) Addr() string { return s.opt.Addr }

// Close ends every connection to the server. A later command fails.
func (s *Server) Close() {
	s.dialer.close()
	s.client.Close()
}

// do executes commands in one round trip, within the timeout. All our commands are idempotent, so if the connection turns out
// to have ended they are sent once more over a new one. They are not sent again after a timeout, which has used up the time.
// An error names the first command.
func (s *Server) do(ctx context.Context, commands ...[]string) ([]rueidis.RedisResult, error) {
	ctx, cancel := context.WithTimeout(ctx, s.opt.Timeout)
	defer cancel()
	results, err := s.doOnce(ctx, commands)
	if Unreachable(err) && !isTimeout(err) && ctx.Err() == nil {
		results, err = s.doOnce(ctx, commands)
	}
	if Unreachable(err) && !isTimeout(err) && ctx.Err() == nil {
		err = s.opt.explain(ctx, err)
	}
	err = cmp.Or(refusalOf(replyText(err)), err)
	if err == nil {
		return results, nil
	}
	if !errors.Is(ctx.Err(), context.Canceled) { // the caller did not cancel the call itself
		s.opt.counters().RedisError()
	}
	return nil, fmt.Errorf("%s on redis %s: %w", commands[0][0], s.opt.Addr, s.opt.redact(err))
}

func (s *Server) doOnce(ctx context.Context, commands [][]string) ([]rueidis.RedisResult, error) {
	built := make([]rueidis.Completed, len(commands))
	for i, command := range commands {
		built[i] = s.client.B().Arbitrary(command...).Build()
	}
	results := s.client.DoMulti(ctx, built...)
	for _, result := range results {
		if err := result.Error(); err != nil && !rueidis.IsRedisNil(err) {
			return nil, err
		}
	}
	return results, nil
}
