package commands

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"strings"

	"resec/handlers/redis"
)

// redisAccess says how Redis servers are reached, apart from their addresses.
type redisAccess struct {
	user, pass, passFile          string
	replUser, replPass, replFile  string // of a replica at its master
	tls                           bool
	caCert, cert, key, serverName string

	// Set by prepare. They are called for each connection, and return within reloadTimeout.
	login, replication func() redis.Login
	config             func() *tls.Config
}

// prepare reads the files for the first time. It returns an error that names the variable if a value is invalid or a file
// cannot be read.
func (r *redisAccess) prepare(log *slog.Logger) (err error) {
	if err := r.consistent(); err != nil {
		return err
	}
	if r.login, err = login(log, r.user, r.pass, "REDIS_PASSWORD_FILE", r.passFile); err != nil {
		return err
	}
	r.replication = r.login
	if r.replPass != "" || r.replFile != "" {
		user := cmp.Or(r.replUser, r.user)
		r.replication, err = login(log, user, r.replPass, "REDIS_REPLICATION_PASSWORD_FILE", r.replFile)
	}
	if err != nil {
		return err
	}
	if r.tls {
		r.config, err = r.reloadingTLS(log)
	}
	return err
}

// reloadingTLS returns a function that returns the TLS configuration. It returns an error as tlsConfig does.
func (r *redisAccess) reloadingTLS(log *slog.Logger) (func() *tls.Config, error) {
	if variables := r.tlsVariables(); variables != "" {
		return reloading(log, variables, r.tlsConfig)
	}
	fixed, err := r.tlsConfig()
	return func() *tls.Config { return fixed }, err
}

// consistent returns an error for values that exclude or need each other.
func (r *redisAccess) consistent() error {
	for _, rule := range []struct {
		broken     bool
		got, takes string
	}{
		{r.pass != "" && r.passFile != "", "REDIS_PASSWORD and REDIS_PASSWORD_FILE", "one of the two"},
		{r.replPass != "" && r.replFile != "", "REDIS_REPLICATION_PASSWORD and REDIS_REPLICATION_PASSWORD_FILE",
			"one of the two"},
		{r.replUser != "" && r.replPass == "" && r.replFile == "", "REDIS_REPLICATION_USERNAME without a password",
			"REDIS_REPLICATION_PASSWORD or REDIS_REPLICATION_PASSWORD_FILE too"},
		{(r.cert != "") != (r.key != ""), "one of REDIS_CLIENT_CERT and REDIS_CLIENT_KEY", "both"},
		{!r.tls && r.caCert+r.cert+r.serverName != "",
			"REDIS_CACERT, REDIS_CLIENT_CERT or REDIS_TLS_SERVER_NAME without REDIS_TLS", "REDIS_TLS=true too"},
	} {
		if rule.broken {
			return fmt.Errorf("invalid %s: takes %s", rule.got, rule.takes)
		}
	}
	return nil
}

// login returns a function that returns a user's login. The password is read from a file if one is given. It returns an error
// that names the variable if the file cannot be read.
func login(log *slog.Logger, user, pass, variable, file string) (func() redis.Login, error) {
	if file == "" {
		return redis.StaticLogin(user, pass), nil
	}
	return reloading(log, variable, func() (redis.Login, error) {
		pass, err := readSecret(file)
		if err != nil {
			return redis.Login{}, fmt.Errorf("invalid %s: %w", variable, err)
		}
		return redis.Login{Username: user, Password: pass}, nil
	})
}

// tlsVariables are the variables of the files that tlsConfig reads; empty: it reads none.
func (r *redisAccess) tlsVariables() string {
	var names []string
	if r.caCert != "" {
		names = append(names, "REDIS_CACERT")
	}
	if r.cert != "" {
		names = append(names, "REDIS_CLIENT_CERT", "REDIS_CLIENT_KEY")
	}
	return strings.Join(names, ", ")
}

// tlsConfig reads the certificates and the key. It returns an error that names the variable if a file is invalid.
func (r *redisAccess) tlsConfig() (*tls.Config, error) {
	c := &tls.Config{ServerName: r.serverName, MinVersion: tls.VersionTLS12}
	if r.caCert != "" {
		pool, err := readCertPool(r.caCert)
		if err != nil {
			return nil, fmt.Errorf("invalid REDIS_CACERT: %w", err)
		}
		c.RootCAs = pool
	}
	if r.cert != "" {
		pair, err := readKeyPair(r.cert, r.key)
		if err != nil {
			return nil, fmt.Errorf("invalid REDIS_CLIENT_CERT and REDIS_CLIENT_KEY: %w", err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}

// readCertPool reads a file of certificates (PEM). It returns an error if the file cannot be read or has none.
func readCertPool(path string) (*x509.CertPool, error) {
	pem, err := readFile(path)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s: takes a file of certificates (PEM)", path)
	}
	return pool, nil
}

// readKeyPair reads a certificate and its key (PEM). It returns an error if a file cannot be read or they do not match.
func readKeyPair(certPath, keyPath string) (tls.Certificate, error) {
	cert, err := readFile(certPath)
	if err != nil {
		return tls.Certificate{}, err
	}
	key, err := readFile(keyPath)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.X509KeyPair(cert, key)
}
