package commands

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/hashicorp/consul/api"

	"resec/commands/catalog"
	"resec/commands/cluster"
	"resec/commands/lock"
	"resec/handlers"
	"resec/handlers/redis"
)

// waitTime is how long a blocking query blocks: one that returns is a heartbeat, and shows what Consul wakes nobody for
// (keys deleted by a prefix above ours). Consul adds up to a 16th, and an answer that takes longer than that and 2 s will
// not come.
const waitTime = 10 * time.Second

// client speaks to Consul; it dials nothing yet. What no flag says, the environment does, as for the consul command.
func (c *config) client() (*api.Client, error) {
	said := c.consul
	c.consul = *api.DefaultConfig()
	for _, f := range []struct {
		to   *string
		said string
	}{
		{&c.consul.Address, said.Address}, {&c.consul.Token, said.Token}, {&c.consul.TokenFile, said.TokenFile},
		{&c.consul.TLSConfig.CAFile, said.TLSConfig.CAFile}, {&c.consul.TLSConfig.CAPath, said.TLSConfig.CAPath},
		{&c.consul.TLSConfig.CertFile, said.TLSConfig.CertFile}, {&c.consul.TLSConfig.KeyFile, said.TLSConfig.KeyFile},
		{&c.consul.TLSConfig.Address, said.TLSConfig.Address}, {&c.consul.Datacenter, said.Datacenter},
	} {
		if f.said != "" {
			*f.to = f.said
		}
	}
	c.consul.WaitTime = waitTime
	t := c.consul.Transport
	t.ResponseHeaderTimeout = waitTime*17/16 + 2*time.Second
	// A host that vanished is noticed within 3 s, and tried again each second: an outage is over 2 s after its end.
	dialer := &net.Dialer{Timeout: time.Second, KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: time.Second, Interval: time.Second, Count: 2}}
	t.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dialer.DialContext(ctx, network, addr)
		if tcp, ok := conn.(*net.TCPConn); ok { // a call that was given up is not to reach Consul once the network is back
			_ = tcp.SetLinger(0)
		}
		return conn, err
	}
	token, err := c.token()
	if err != nil {
		return nil, err
	}
	client, err := api.NewClient(&c.consul)
	if err != nil {
		return nil, fmt.Errorf("set up the consul client: %w", err)
	}
	if token != nil {
		c.consul.HttpClient.Transport = tokenTransport{c.consul.HttpClient.Transport, token}
	}
	return client, nil
}

// count tells of each call to Consul that fails.
func (c *config) count(failed func()) {
	c.consul.HttpClient.Transport = countingTransport{c.consul.HttpClient.Transport, failed}
}

type countingTransport struct {
	http.RoundTripper
	failed func()
}

func (t countingTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	res, err := t.RoundTripper.RoundTrip(r)
	if err != nil && !errors.Is(r.Context().Err(), context.Canceled) || err == nil && failed(res.StatusCode) {
		t.failed()
	}
	return res, err
}

// failed tells whether Consul could not do, or did not let us do, what it was asked; 404 and 409 are answers.
func failed(code int) bool {
	return code >= 500 || code == http.StatusForbidden || code == http.StatusTooManyRequests
}

func (t countingTransport) CloseIdleConnections() { closeIdle(t.RoundTripper) }

func closeIdle(t http.RoundTripper) {
	if c, ok := t.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

// close ends the idle connections to Consul.
func (c *config) close() {
	if c.consul.HttpClient != nil {
		c.consul.HttpClient.CloseIdleConnections()
	}
}

// identify finds out who this member is, for which it asks Consul's agent, for as long as it takes. It returns what
// it has when the context ends.
func (c *config) identify(ctx context.Context, client *api.Client, log *slog.Logger) (cluster.Master, error) {
	if c.lockTTL > 0 && c.lockTTL < 10*time.Second {
		log.Warn("CONSUL_LOCK_TTL is below 10s, which Consul refuses unless its session_ttl_min allows it", "ttl", c.lockTTL)
	}
	for said := ""; ; {
		node, addr, err := self(ctx, client)
		if err == nil {
			return c.me(node, addr), nil
		}
		if ctx.Err() == nil && kind(err) != said {
			log.Warn("consul does not say which node this is; trying on", "err", err)
			said = kind(err)
		}
		select {
		case <-ctx.Done():
			return cluster.Master{}, nil
		case <-time.After(time.Second):
		}
	}
}

// kind is an error's text without the ports that make each one new.
func kind(err error) string {
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Op + ": " + op.Err.Error()
	}
	return err.Error()
}

// self is the name and the address of the node that Consul's agent runs on.
func self(ctx context.Context, client *api.Client) (node, addr string, err error) {
	ctx, cancel := context.WithTimeout(ctx, lock.CallTimeout)
	defer cancel()
	var out struct {
		Config struct{ NodeName string }
		Member struct{ Addr string }
	}
	if _, err := client.Raw().Query("/v1/agent/self", &out, (&api.QueryOptions{}).WithContext(ctx)); err != nil {
		return "", "", fmt.Errorf("ask consul's agent who it is: %w", err)
	}
	return out.Config.NodeName, out.Member.Addr, nil
}

// me is this member, as it is published.
func (c *config) me(node, nodeAddr string) cluster.Master {
	host := c.announceHost
	if host == "" {
		host = nodeAddr
	}
	m := cluster.Master{Node: node, ServiceID: c.naming.ServiceID(c.announceHost, c.announcePort)}
	m.Peer = handlers.Peer{ID: c.member, Address: net.JoinHostPort(host, strconv.Itoa(c.announcePort))}
	if m.ID == "" {
		m.ID = node + "/" + m.ServiceID
	}
	return m
}

func (c *config) registrar(client *api.Client, id string, log *slog.Logger) *catalog.Registrar {
	return &catalog.Registrar{
		Client: client, Naming: c.naming, ID: id, Host: c.announceHost, Port: c.announcePort,
		Interval: c.interval, DeregisterAfter: c.deregister, Log: log,
	}
}

// redis is how Redis is reached, our own and, with another address, every other.
func (c *config) redis(member string) redis.Options {
	return redis.Options{Addr: c.redisAddr, Login: c.access.login, Replication: c.access.replication, TLS: c.access.config,
		Timeout: c.timeout, Name: "resec:" + member}
}

func (c *config) logger(w io.Writer) *slog.Logger {
	opt := &slog.HandlerOptions{Level: c.logLevel}
	if c.logFormat == "json" {
		return slog.New(slog.NewJSONHandler(w, opt))
	}
	return slog.New(slog.NewTextHandler(w, opt))
}
