package lab

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/redis/rueidis"
)

// Redis is one redis-server.
type Redis struct {
	*Process
	Addr string // host:port
	Dir  string // its data
	Host string
	Net  *NetHost // where it runs; nil: on this machine

	Announced string // host:port that it announces, if that is not Addr

	password string
	tls      *tls.Config // nil: it speaks without
	client   rueidis.Client
}

// Sink is the configuration of a server that starts parked.
const Sink = "127.0.0.1 1"

// StartRedis starts a server with the arguments of redis-server given, on a host of its own.
func (l *Lab) StartRedis(name string, args ...string) (*Redis, error) {
	return l.StartRedisAt(name, net.JoinHostPort(Host(), "6379"), args...)
}

// StartRedisAt starts a server at host:port.
func (l *Lab) StartRedisAt(name, addr string, args ...string) (*Redis, error) {
	return l.startRedis(nil, nil, "", name, addr, args)
}

// redisServer is the path of the redis-server that is used unless another is given. It is installed if it is missing.
func redisServer() (string, error) {
	if bin, err := exec.LookPath("redis-server"); err == nil {
		return bin, nil
	}
	if _, err := Need("redis"); err != nil {
		return "", err
	}
	return exec.LookPath("redis-server")
}

func (l *Lab) startRedis(on *NetHost, tls *tls.Config, bin, name, addr string, args []string) (_ *Redis, err error) {
	if bin == "" {
		if bin, err = redisServer(); err != nil {
			return nil, err
		}
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	r := &Redis{Addr: addr, Host: host, Net: on, tls: tls, Dir: filepath.Join(l.Dir, name)}
	if err := os.MkdirAll(r.Dir, 0o755); err != nil {
		return nil, err
	}
	all := []string{bin}
	if len(args) > 0 && !strings.HasPrefix(args[0], "--") { // a configuration file comes first
		all, args = append(all, args[0]), args[1:]
	}
	all = append(all, "--bind", host, "--port", port, "--dir", r.Dir, "--save", "", "--appendonly", "no",
		"--protected-mode", "no", "--repl-diskless-sync-delay", "0", "--daemonize", "no")
	all = append(all, args...)
	if r.Process, err = l.Start(name, nil, on.In(all...)...); err != nil {
		return nil, err
	}
	if err := r.Ready(context.Background()); err != nil {
		return nil, err
	}
	if i := slices.Index(args, "--requirepass"); i >= 0 {
		r.password = args[i+1]
	}
	r.client, err = connect(r.Dial, addr, r.password, time.Second, "resec:lab")
	if r.client != nil {
		l.onClose(r.client.Close)
	}
	return r, err
}

// Dial connects to the server from its own host, so that no cut of the network affects the connection.
func (r *Redis) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	return secured(r.Net.Dial, r.tls)(ctx, network, addr)
}

// secured dials by TLS, if there is a configuration for that.
func secured(dial Dial, c *tls.Config) Dial {
	if c == nil {
		return dial
	}
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		own := c.Clone()
		own.ServerName, _, _ = net.SplitHostPort(addr)
		wrapped := tls.Client(conn, own)
		if err := wrapped.HandshakeContext(ctx); err != nil {
			return nil, errors.Join(err, conn.Close())
		}
		return wrapped, nil
	}
}

// connect makes a client with one connection, which fails rather than try again.
func connect(dial Dial, addr, password string, timeout time.Duration, name string) (rueidis.Client, error) {
	return rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{addr}, Password: password, ClientName: name,
		ForceSingleClient: true, DisableCache: true, DisableRetry: true, AlwaysRESP2: true, ConnWriteTimeout: timeout,
		ClientSetInfo: rueidis.DisableClientSetInfo,
		DialCtxFn: func(ctx context.Context, addr string, _ *net.Dialer, _ *tls.Config) (net.Conn, error) {
			ctx, cancel := context.WithTimeout(ctx, timeout)
			defer cancel()
			return dial(ctx, "tcp", addr)
		}})
}

// Ready waits until the server answers.
func (r *Redis) Ready(ctx context.Context) error {
	return Until(ctx, 20*time.Second, func() error {
		if !r.Running() {
			return fmt.Errorf("redis ended:\n%s", r.Output())
		}
		ctx, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		conn, err := r.Dial(ctx, "tcp", r.Addr)
		if err != nil {
			return err
		}
		return conn.Close()
	})
}

// Restart starts the server again, and waits until it answers.
func (r *Redis) Restart() error {
	return errors.Join(r.Start(), r.Ready(context.Background()))
}

// KillAndRestart kills the server and starts it again at once, with what its disk kept.
func (r *Redis) KillAndRestart() error {
	r.Kill()
	return r.Restart()
}

// RestartEmpty kills the server, wipes its data and starts it again at once, as a supervisor on a new disk would.
func (r *Redis) RestartEmpty() error {
	r.Kill()
	if err := errors.Join(os.RemoveAll(r.Dir), os.MkdirAll(r.Dir, 0o755)); err != nil {
		return err
	}
	return r.Restart()
}

// Save makes a snapshot on the server's disk, which it loads when it is started again (unless it keeps an AOF).
func (r *Redis) Save() error {
	return Until(context.Background(), 10*time.Second, func() error { // one may be under way
		_, err := r.Do("SAVE")
		return err
	})
}

// Do runs one command, and once more if the connection was that of a server that was restarted.
func (r *Redis) Do(args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	run := func() (string, error) {
		v, err := r.client.Do(ctx, r.client.B().Arbitrary(args...).Build()).ToAny()
		return fmt.Sprint(v), err
	}
	out, err := run()
	if _, answered := rueidis.IsRedisErr(err); err != nil && !answered {
		out, err = run()
	}
	return out, err
}

// Stuck blocks the server for that long, with DEBUG SLEEP, and returns when it has begun; what comes is its
// end.
func (r *Redis) Stuck(d time.Duration) (<-chan error, error) {
	c, err := connect(r.Dial, r.Addr, r.password, time.Minute, "")
	if err != nil {
		return nil, err
	}
	probe, err := connect(r.Dial, r.Addr, r.password, time.Minute, "")
	if err != nil {
		c.Close()
		return nil, err
	}
	defer probe.Close()
	end := make(chan error, 1)
	go func() {
		defer c.Close()
		end <- c.Do(context.Background(), c.B().Arbitrary("DEBUG", "SLEEP", fmt.Sprint(d.Seconds())).Build()).Error()
	}()
	return end, Until(context.Background(), d/2, func() error {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
		defer cancel()
		if probe.Do(ctx, probe.B().Ping().Build()).Error() == nil {
			return errors.New("it answers")
		}
		return nil
	})
}

// Busy keeps the server busy with a script for that long, then kills the script, and returns what the script got.
func (r *Redis) Busy(d time.Duration) error {
	c, err := connect(r.Dial, r.Addr, r.password, time.Minute, "")
	if err != nil {
		return err
	}
	defer c.Close()
	end := time.AfterFunc(d, func() { _, _ = r.Do("SCRIPT", "KILL") })
	defer end.Stop()
	return c.Do(context.Background(), c.B().Arbitrary("EVAL", "while true do end", "0").Build()).Error()
}
