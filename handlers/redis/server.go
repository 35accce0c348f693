// Package redis speaks to one Redis server: what it is, and the few commands that change that.
package redis

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/redis/rueidis"
)

// Options say how a server is reached.
type Options struct {
	Addr        string             // host:port
	Login       func() Login       // asked for each connection; nil: none
	Replication func() Login       // of a replica to its master; nil: the same
	TLS         func() *tls.Config // asked for each connection; nil: no TLS
	Name        string             // CLIENT SETNAME, "resec:<id>"
	Timeout     time.Duration      // of one command, and of one dial
	Ping        time.Duration      // how often Watch asks whether the server answers, beside its looks; 0: pingEvery
	Idle        time.Duration      // how often the connection for commands is asked whether it still is one; 0: as Ping
	Counters    Counters           // of what is done; nil: none
}

// pingInterval finds a server that hangs soon; it is most of what an idle agent does.
const pingInterval = 200 * time.Millisecond

func (o Options) ping() time.Duration { return cmp.Or(o.Ping, pingInterval) }

// WithIdlePing is for a server that Watch looks after: what is under way on its connection for commands has a deadline, and the rest need
// not be known soon.
func (o Options) WithIdlePing() Options {
	o.Idle = time.Second
	return o
}

// Server is one Redis server. It survives the server's death: a call fails, a later call dials again.
type Server struct {
	opt    Options
	client rueidis.Client
}

// Open prepares a server, which need not be up: a failed dial shows in the first command. It blocks for at most twice
// the timeout, and no longer than the context, which counts for nothing afterwards.
func Open(ctx context.Context, opt Options) (*Server, error) {
	var mu sync.Mutex
	opening, release := true, func() bool { return true }
	client, err := rueidis.NewClient(rueidis.ClientOption{
		InitAddress: []string{opt.Addr}, ClientName: opt.Name,
		AuthCredentialsFn: func(rueidis.AuthCredentialsContext) (rueidis.AuthCredentials, error) {
			l := opt.login()
			return rueidis.AuthCredentials{Username: l.Username, Password: l.Password}, nil
		},
		ForceSingleClient: true, DisableCache: true, DisableRetry: true, AlwaysRESP2: true,
		ClientSetInfo:    rueidis.DisableClientSetInfo, // unknown before Redis 7.2, and an ACL would have to allow it
		ConnWriteTimeout: opt.Timeout,
		Dialer:           net.Dialer{Timeout: opt.Timeout, KeepAlive: cmp.Or(opt.Idle, opt.ping())},
		DialCtxFn: func(later context.Context, _ string, d *net.Dialer, _ *tls.Config) (net.Conn, error) {
			mu.Lock()
			defer mu.Unlock()
			if !opening {
				return opt.dial(later, d)
			}
			conn, err := opt.dial(ctx, d)
			if err == nil { // the greeting is bounded, too
				release = context.AfterFunc(ctx, func() { _ = conn.Close() })
			}
			return conn, err
		},
		// A sidecar talks little: the default buffers of half a megabyte would be most of its memory.
		ReadBufferEachConn: 16 << 10, WriteBufferEachConn: 4 << 10, RingScaleEachConn: 4,
	})
	mu.Lock()
	opening = false
	release()
	mu.Unlock()
	if client == nil {
		return nil, fmt.Errorf("open redis %s: %w", opt.Addr, err)
	}
	return &Server{opt: opt, client: client}, nil
}

// Addr is the host:port that the server was opened with.
func (s *Server) Addr() string { return s.opt.Addr }

// Close ends every connection to the server.
func (s *Server) Close() { s.client.Close() }

// Replied tells whether err came from Redis itself: a server that says -BUSY, -NOAUTH or -LOADING is alive.
func Replied(err error) bool {
	return err == nil || reply(err) != "" || tlsRejected(err) || errors.Is(err, ErrLoading) || errors.Is(err, ErrTooOld) || errors.Is(err, errBadInfo)
}

// reply is the text of an error reply; empty for an error of any other kind. rueidis looks at the error itself only.
func reply(err error) string {
	var e *rueidis.RedisError
	if !errors.As(err, &e) || e.IsNil() {
		return ""
	}
	return e.Error()
}

// Refused tells whether nothing listens where the server should be.
func Refused(err error) bool { return errors.Is(err, syscall.ECONNREFUSED) }

// Unreachable tells whether a server neither answered nor refused: it hangs, or the network eats its packets.
func Unreachable(err error) bool { return err != nil && !Replied(err) && !Refused(err) }

// Summary says in a few words what is wrong with a server, the same words for as long as the same is wrong: an error's own
// text names ports that differ each time.
func Summary(err error) string {
	switch {
	case err == nil:
		return ""
	case Refused(err):
		return "it refuses connections"
	case Unreachable(err):
		return "it does not answer"
	}
	return err.Error()
}

// alive tells whether err is an answer that a working server gives while it cannot serve this very command.
func alive(err error) bool {
	return strings.HasPrefix(reply(err), "BUSY") || strings.HasPrefix(reply(err), "MISCONF")
}

// AccessDenied tells whether who is there lives, and does not let us see who that is: our server with another password, ACL or certificate,
// or somebody else at its address.
func AccessDenied(err error) bool {
	return err != nil && Replied(err) && !alive(err) && !errors.Is(err, ErrLoading) && !strings.HasPrefix(reply(err), "LOADING")
}

// accessDenied tells whether err is an answer of a server that lives, and does not let us in: its password, its ACL or a
// certificate was changed.
func accessDenied(err error) bool {
	if tlsRejected(err) {
		return true
	}
	for _, code := range []string{"NOAUTH", "WRONGPASS", "NOPERM"} {
		if strings.HasPrefix(reply(err), code) {
			return true
		}
	}
	return false
}

// do runs commands in one round trip. Every command that we send can be sent twice, so a connection that turns out
// to be a dead server's is dialled again once; a timeout is not, for it has used up the caller's patience.
func (s *Server) do(ctx context.Context, args ...[]string) ([]rueidis.RedisResult, error) {
	ctx, cancel := context.WithTimeout(ctx, s.opt.Timeout)
	defer cancel()
	res, err := s.once(ctx, args)
	if err != nil && Unreachable(err) && !isTimeout(err) && ctx.Err() == nil {
		res, err = s.once(ctx, args)
	}
	if err != nil {
		if !errors.Is(ctx.Err(), context.Canceled) { // or we have given it up ourselves
			s.opt.counters().RedisError()
		}
		return nil, fmt.Errorf("%s on redis %s: %w", args[0][0], s.opt.Addr, s.opt.redact(err))
	}
	return res, nil
}

func (s *Server) once(ctx context.Context, args [][]string) ([]rueidis.RedisResult, error) {
	multi := make([]rueidis.Completed, len(args))
	for i, a := range args {
		multi[i] = s.client.B().Arbitrary(a...).Build()
	}
	res := s.client.DoMulti(ctx, multi...)
	for i := range res {
		if err := res[i].Error(); err != nil && !rueidis.IsRedisNil(err) {
			return nil, err
		}
	}
	return res, nil
}

func isTimeout(err error) bool {
	var ne net.Error
	return errors.Is(err, context.DeadlineExceeded) || errors.As(err, &ne) && ne.Timeout()
}
