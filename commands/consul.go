package commands

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"time"

	"github.com/hashicorp/consul/api"

	"resec/commands/catalog"
	"resec/commands/cluster"
	"resec/commands/lock"
	"resec/commands/pace"
	"resec/handlers/redis"
)

// waitTime bounds a blocking query. Its return also shows changes for which Consul wakes no query: keys that were deleted by a
// prefix that includes ours.
const waitTime = 10 * time.Second

// responseTimeout bounds any answer of Consul. Consul adds up to a 16th to waitTime:
// https://developer.hashicorp.com/consul/api-docs/features/blocking
// A Consul that is slow adds seconds. If a watch gave up then, all that it shows would count as an outage.
const responseTimeout = waitTime*17/16 + 2*pace.CallTimeout

// idleConnections is how many connections to Consul are kept while no call uses them. By default that is one more than there are
// processors: with two of these an agent that has no descriptor left to open another one may lose its session. Consul's agent
// takes 200 connections from one address by default, and an agent's watches have five more.
const idleConnections = 8

// client is patientClient for agent, elect and follow.
func (c *config) client() (*api.Client, error) { return c.patientClient(agentPatience) }

// patientClient prepares a client of Consul; it does not connect yet. A flag wins over the environment variable of the consul
// command. It returns an error if an address, a certificate, the token file or a variable of Consul's API is invalid.
func (c *config) patientClient(p patience) (*api.Client, error) {
	if err := checkConsulEnvironment(); err != nil {
		return nil, err
	}
	flags := c.consul
	c.consul = *api.DefaultConfig() // with the environment
	override := func(to *string, flag string) {
		if flag != "" {
			*to = flag
		}
	}
	override(&c.consul.Address, flags.Address)
	override(&c.consul.Token, flags.Token)
	override(&c.consul.TokenFile, flags.TokenFile)
	override(&c.consul.TLSConfig.CAFile, flags.TLSConfig.CAFile)
	override(&c.consul.TLSConfig.CAPath, flags.TLSConfig.CAPath)
	override(&c.consul.TLSConfig.CertFile, flags.TLSConfig.CertFile)
	override(&c.consul.TLSConfig.KeyFile, flags.TLSConfig.KeyFile)
	override(&c.consul.TLSConfig.Address, flags.TLSConfig.Address)
	override(&c.consul.Datacenter, flags.Datacenter)
	c.consul.WaitTime = waitTime
	c.consul.Transport.ResponseHeaderTimeout = responseTimeout
	c.consul.Transport.DialContext = dialConsul
	c.consul.Transport.MaxIdleConnsPerHost = idleConnections
	token, err := c.token()
	if err != nil {
		return nil, err
	}
	conf := c.consul // a read that hangs may change it later
	client, err := loadOnce(c.consulFiles(), func() (*api.Client, error) { return api.NewClient(&conf) })
	if err != nil {
		return nil, fmt.Errorf("set up the consul client: %w", err)
	}
	c.consul = conf
	if token != nil {
		c.consul.HttpClient.Transport = tokenTransport{c.consul.HttpClient.Transport, token}
	}
	c.consul.HttpClient.Transport = patientTransport{c.consul.HttpClient.Transport, p}
	return client, nil
}

// consulFiles are the variables of the files that a client of Consul reads as it is made.
func (c *config) consulFiles() string {
	var names []string
	for _, f := range []struct{ path, variable string }{
		{c.consul.TLSConfig.CAFile, api.HTTPCAFile}, {c.consul.TLSConfig.CAPath, api.HTTPCAPath},
		{c.consul.TLSConfig.CertFile, api.HTTPClientCert}, {c.consul.TLSConfig.KeyFile, api.HTTPClientKey},
	} {
		if f.path != "" {
			names = append(names, f.variable)
		}
	}
	return strings.Join(names, ", ")
}

// dialConsul connects to Consul. A host that vanished is noticed within 3 s (1 s idle, two probes). Each attempt to connect takes
// at most 1 s, so an outage of the network ends here at most 2 s after it ended.
func dialConsul(ctx context.Context, network, addr string) (net.Conn, error) {
	keepAlive := net.KeepAliveConfig{Enable: true, Idle: time.Second, Interval: time.Second, Count: 2}
	dialer := &net.Dialer{Timeout: time.Second, KeepAliveConfig: keepAlive}
	conn, err := dialer.DialContext(ctx, network, addr)
	if tcp, ok := conn.(*net.TCPConn); ok { // on close drop unsent data: a cancelled call must not reach Consul later
		_ = tcp.SetLinger(0)
	}
	return conn, err
}

// consulHint says what to do if no Consul agent listens at the address that was asked, if it does not answer, or if something
// else does; otherwise it is empty.
func consulHint(err error) string {
	var call *url.Error // of an HTTP call, and only Consul is asked by HTTP
	var dial *net.OpError
	var answer api.StatusError
	nobody := errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ENOENT)
	switch {
	case errors.As(err, &answer) && answer.Code == http.StatusNotFound:
		return "; set CONSUL_HTTP_ADDR to the address of a Consul agent: this server does not answer as one"
	case !errors.As(err, &call):
		return ""
	case errors.As(err, &dial) && dial.Op == "dial" && nobody: // a proxy's is another
		return "; start the Consul agent of this host, or set CONSUL_HTTP_ADDR to the address of one"
	case errors.Is(err, context.DeadlineExceeded):
		return "; the Consul agent, or its leader, does not answer: read its log"
	}
	return ""
}

// withoutPage is the text of an error, without the HTML that another server than Consul may have answered with.
func withoutPage(err error) string {
	var answer api.StatusError
	if errors.As(err, &answer) && strings.HasPrefix(strings.TrimSpace(answer.Body), "<") {
		return strings.ReplaceAll(err.Error(), answer.Body, "HTML")
	}
	return err.Error()
}

// close ends the idle connections to Consul, and logs what the limiter of the log holds back.
func (c *config) close() {
	if c.limiter != nil {
		c.limiter.Close()
	}
	if c.consul.HttpClient != nil {
		c.consul.HttpClient.CloseIdleConnections()
	}
}

func (c *config) registrar(client *api.Client, me cluster.Master, log *slog.Logger) *catalog.Registrar {
	return &catalog.Registrar{
		Client: client, Naming: c.naming, ID: me.ServiceID, Node: me.Node, Host: c.announceHost, Port: c.announcePort,
		Interval: c.interval, DeregisterAfter: c.deregister, Log: log,
	}
}

// lock is the cluster's lock, for the agent of one member.
func (c *config) lock(client *api.Client, member string) lock.Lock {
	return lock.Lock{Client: client, Key: c.lockKey, Member: member, LastKnown: &lock.LastKnownState{}}
}

// probe is how the health of our own Redis is checked.
func (c *config) probe() redis.Probe {
	return redis.Probe{Every: c.interval, Timeout: c.timeout, Failures: c.failures}
}

// redis is how to connect to our own Redis, and with another address to any other of the cluster. name is shown by CLIENT LIST.
func (c *config) redis(name string) redis.Options {
	return redis.Options{Addr: c.redisAddr, Login: c.access.login, Replication: c.access.replication, TLS: c.access.config,
		Timeout: c.timeout, Name: "resec:" + name}
}
