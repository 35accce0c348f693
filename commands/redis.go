package commands

import (
	"bytes"
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"sync"

	"resec/handlers/redis"
)

// redisAccess is what a user says of how Redis is reached, beside its address.
type redisAccess struct {
	user, pass, passFile          string
	replUser, replPass, replFile  string // of a replica to its master
	tls                           bool
	caCert, cert, key, serverName string
	login, replication            func() redis.Login
	config                        func() *tls.Config
}

// prepare reads the files for the first time. Later they are read for each connection, for passwords and certificates are changed
// while we run; where one cannot be read then, what was read last goes on: no fault of ours is to look like a dead Redis.
func (r *redisAccess) prepare(log *slog.Logger) (err error) {
	if err := r.consistent(); err != nil {
		return err
	}
	if r.login, err = login(log, r.user, r.pass, "REDIS_PASSWORD_FILE", r.passFile); err != nil {
		return err
	}
	r.replication = r.login
	if r.replPass != "" || r.replFile != "" {
		if r.replication, err = login(log, cmp.Or(r.replUser, r.user), r.replPass, "REDIS_REPLICATION_PASSWORD_FILE", r.replFile); err != nil {
			return err
		}
	}
	if r.tls {
		r.config, err = reloading(log, r.load)
	}
	return err
}

// consistent checks what no single value shows.
func (r *redisAccess) consistent() error {
	for _, two := range []struct {
		bad       bool
		got, want string
	}{
		{r.pass != "" && r.passFile != "", "REDIS_PASSWORD and REDIS_PASSWORD_FILE", "one of the two"},
		{r.replPass != "" && r.replFile != "", "REDIS_REPLICATION_PASSWORD and REDIS_REPLICATION_PASSWORD_FILE", "one of the two"},
		{r.replUser != "" && r.replPass == "" && r.replFile == "", "REDIS_REPLICATION_USERNAME without a password", "REDIS_REPLICATION_PASSWORD or …_FILE beside it"},
		{(r.cert != "") != (r.key != ""), "one of REDIS_CLIENT_CERT and REDIS_CLIENT_KEY", "both"},
		{!r.tls && r.caCert+r.cert+r.serverName != "", "REDIS_CACERT, REDIS_CLIENT_CERT or REDIS_TLS_SERVER_NAME without REDIS_TLS", "REDIS_TLS=true beside it"},
	} {
		if two.bad {
			return fmt.Errorf("invalid %s: takes %s", two.got, two.want)
		}
	}
	return nil
}

// login is a user's, whose password may stand in a file.
func login(log *slog.Logger, user, pass, name, file string) (func() redis.Login, error) {
	if file == "" {
		return redis.StaticLogin(user, pass), nil
	}
	return reloading(log, func() (redis.Login, error) {
		pass, err := secret(file)
		if err != nil {
			return redis.Login{}, fmt.Errorf("invalid %s: %w", name, err)
		}
		return redis.Login{Username: user, Password: pass}, nil
	})
}

// secretMax is more than any password, and less than a file that was meant for something else.
const secretMax = 4 << 10

// secret reads a file of one line. An error does not tell what is no file: it may be the secret itself.
func secret(path string) (string, error) {
	data, err := small(path)
	var at *fs.PathError
	if errors.As(err, &at) {
		return "", fmt.Errorf("takes a file of one line: %w", at.Err)
	}
	if err != nil {
		return "", err
	}
	data = bytes.TrimRight(data, "\r\n")
	if len(data) == 0 || len(data) > secretMax || bytes.ContainsAny(data, "\r\n") {
		return "", fmt.Errorf("%s: takes a file of one line of at most %d bytes", path, secretMax)
	}
	return string(data), nil
}

// small reads a file of at most a megabyte.
func small(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, 1<<20))
}

// load is the TLS configuration as the files have it.
func (r *redisAccess) load() (*tls.Config, error) {
	c := &tls.Config{ServerName: r.serverName, MinVersion: tls.VersionTLS12}
	if r.caCert != "" {
		pem, err := small(r.caCert)
		if err != nil {
			return nil, fmt.Errorf("invalid REDIS_CACERT: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("invalid REDIS_CACERT: %s: takes a file of certificates (PEM)", r.caCert)
		}
	}
	if r.cert != "" {
		pair, err := tls.LoadX509KeyPair(r.cert, r.key)
		if err != nil {
			return nil, fmt.Errorf("invalid REDIS_CLIENT_CERT and REDIS_CLIENT_KEY: %w", err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}

// reloading calls load each time, and goes on with what it said last where it fails, which is logged once.
func reloading[T any](log *slog.Logger, load func() (T, error)) (func() T, error) {
	last, err := load()
	if err != nil {
		return nil, err
	}
	var mu sync.Mutex
	var said error
	return func() T {
		mu.Lock()
		defer mu.Unlock()
		now, err := load()
		if err == nil {
			last = now
		} else if said == nil || said.Error() != err.Error() {
			log.Warn("what was read before goes on", "err", err)
		}
		said = err
		return last
	}, nil
}
