package lab

import (
	"cmp"
	"context"
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

	Announced string // host:port by which others know it, where that is not Addr

	client rueidis.Client
}

// Sink is what a born parked server is started with.
const Sink = "127.0.0.1 1"

// StartRedis starts a server with the arguments of redis-server given, on a host of its own.
func (l *Lab) StartRedis(name string, args ...string) (*Redis, error) {
	return l.StartRedisAt(name, net.JoinHostPort(Host(), "6379"), args...)
}

// StartRedisAt starts a server at host:port.
func (l *Lab) StartRedisAt(name, addr string, args ...string) (*Redis, error) {
	bin, err := exec.LookPath("redis-server")
	if err != nil {
		if _, err := Need("redis"); err != nil {
			return nil, err
		}
		if bin, err = exec.LookPath("redis-server"); err != nil {
			return nil, err
		}
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	r := &Redis{Addr: addr, Host: host, Dir: filepath.Join(l.Dir, name)}
	if err := os.MkdirAll(r.Dir, 0o755); err != nil {
		return nil, err
	}
	all := append([]string{bin, "--bind", host, "--port", port, "--dir", r.Dir, "--save", "", "--appendonly", "no",
		"--protected-mode", "no", "--repl-diskless-sync-delay", "0", "--daemonize", "no"}, args...)
	if r.Process, err = l.Start(name, nil, all...); err != nil {
		return nil, err
	}
	if err := r.Ready(context.Background()); err != nil {
		return nil, err
	}
	password := ""
	if i := slices.Index(args, "--requirepass"); i >= 0 {
		password = args[i+1]
	}
	r.client, err = rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{addr}, Password: password, ForceSingleClient: true,
		DisableCache: true, DisableRetry: true, AlwaysRESP2: true, ConnWriteTimeout: time.Second, ClientName: "resec:lab"})
	if r.client != nil {
		l.onClose(r.client.Close)
	}
	return r, err
}

// Ready waits until the server answers.
func (r *Redis) Ready(ctx context.Context) error {
	return Until(ctx, 20*time.Second, func() error {
		if !r.Running() {
			return fmt.Errorf("redis ended:\n%s", r.Output())
		}
		conn, err := net.DialTimeout("tcp", r.Addr, time.Second)
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

// Do runs one command, with one new try where the connection was a dead server's.
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

// Busy keeps the server busy with a script for that long, then kills the script, and returns what the script got.
func (r *Redis) Busy(d time.Duration) error {
	c, err := connect(r.Addr, time.Minute)
	if err != nil {
		return err
	}
	defer c.Close()
	end := time.AfterFunc(d, func() { _, _ = r.Do("SCRIPT", "KILL") })
	defer end.Stop()
	return c.Do(context.Background(), c.B().Arbitrary("EVAL", "while true do end", "0").Build()).Error()
}

// Info is one field of INFO.
func (r *Redis) Info(field string) (string, error) {
	text, err := r.Do("INFO")
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(text) {
		if v, ok := strings.CutPrefix(line, field+":"); ok {
			return strings.TrimSpace(v), nil
		}
	}
	return "", nil
}

// Is returns nil where every field of INFO has its value: Is("role", "master").
func (r *Redis) Is(fields ...string) error {
	for i := 0; i < len(fields); i += 2 {
		v, err := r.Info(fields[i])
		if err == nil && v != fields[i+1] {
			err = fmt.Errorf("%s of %s is %q, not %q", fields[i], r.Name, v, fields[i+1])
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// written is the key that IsMaster writes.
const written = "lab:written"

// IsMaster returns nil where the server is a master that takes writes, with that many linked replicas.
func (r *Redis) IsMaster(replicas int) error {
	if err := r.Is("role", "master", "connected_slaves", fmt.Sprint(replicas)); err != nil {
		return err
	}
	_, err := r.Do("SET", written, "1")
	return err
}

// Follows returns nil where the server is a linked replica of the other.
func (r *Redis) Follows(master *Redis) error {
	host, port, _ := net.SplitHostPort(cmp.Or(master.Announced, master.Addr))
	return r.Is("role", "slave", "master_host", host, "master_port", port, "master_link_status", "up")
}
