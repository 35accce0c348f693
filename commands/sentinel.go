package commands

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"

	"github.com/hashicorp/consul/api"
	"github.com/urfave/cli/v2"

	"resec/commands/catalog"
	"resec/commands/cluster"
	"resec/commands/listen"
	"resec/commands/lock"
	"resec/commands/sentinel"
	"resec/commands/topology"
)

func (p *program) sentinel() *cli.Command {
	return p.command("sentinel", "", "answer clients as Redis Sentinel would, on a host without a Redis of the cluster",
		forConsul|forCluster|forEndpoint, nil, func(c *cli.Context, cfg *config, log *slog.Logger) error {
			client, err := cfg.client()
			if err != nil {
				return err
			}
			o, err := cfg.openSentinel(c.Context, client, log)
			if err != nil {
				return err
			}
			defer o.Close()
			me, err := cfg.identify(c.Context, client, log)
			if err != nil {
				return err
			}
			return cfg.newSentinel(o, client, me, log).Run(c.Context, c.Context)
		})
}

// sentinelConfig are the settings of the endpoint that answers as a Sentinel.
type sentinelConfig struct {
	addr                 string // host:port; empty: there is none
	master               string // name of the cluster; empty: the prefix of its services
	user, pass, passFile string // that clients must send; without a password none is needed
	cert, key            string // files; empty: no TLS
}

// defaultSentinelAddr is the usual port of Sentinel, at every address of the host.
const defaultSentinelAddr = ":26379"

// maxSentinelClients bounds the clients of an endpoint, as Redis's maxclients does. They take at most sentinelPart of the file
// descriptors.
const maxSentinelClients, sentinelPart = 10000, 0.25

func (c *config) sentinelSettings(want group) []setting {
	s := &c.sentinel
	addr := setting{name: "sentinel-addr", env: "SENTINEL_ADDR", takes: listenAddr, group: forEndpoint,
		set: orNone(address(&s.addr)), usage: "answer clients as Redis Sentinel would on this address; off if empty"}
	if want&forAgent == 0 {
		addr.def, addr.usage = defaultSentinelAddr, "address on which clients are answered"
	}
	own := func(name, env, usage, takes string, p *string) setting {
		return setting{name: name, env: env, usage: usage, takes: takes, set: orNone(text(p)), group: forEndpoint}
	}
	return []setting{
		addr,
		{name: "sentinel-master", env: "SENTINEL_MASTER", takes: "a name without blanks", set: name(&s.master, true),
			group: forEndpoint, usage: "name by which clients ask for the master (default: the prefix of the services)"},
		own("sentinel-username", "SENTINEL_USERNAME", "user that clients of the endpoint send (default: default)", "a name", &s.user),
		own("sentinel-password", "SENTINEL_PASSWORD", "password that clients of the endpoint send; without one none is needed",
			"a password", &s.pass),
		own("sentinel-password-file", "SENTINEL_PASSWORD_FILE",
			"file of one line with that password; it may change while resec runs", "a file", &s.passFile),
		own("sentinel-tls-cert", "SENTINEL_TLS_CERT",
			"file of the endpoint's certificate (PEM); with it the endpoint speaks TLS only", "a file", &s.cert),
		own("sentinel-tls-key", "SENTINEL_TLS_KEY", "file of that certificate's key (PEM)", "a file", &s.key),
	}
}

// consistent returns an error for values that exclude or need each other.
func (s *sentinelConfig) consistent() error {
	switch {
	case s.pass != "" && s.passFile != "":
		return errors.New("invalid SENTINEL_PASSWORD and SENTINEL_PASSWORD_FILE: takes one of the two")
	case s.user != "" && s.pass == "" && s.passFile == "":
		return errors.New("invalid SENTINEL_USERNAME without a password: takes SENTINEL_PASSWORD or SENTINEL_PASSWORD_FILE too")
	case (s.cert != "") != (s.key != ""):
		return errors.New("invalid one of SENTINEL_TLS_CERT and SENTINEL_TLS_KEY: takes both")
	}
	return nil
}

// openSentinel starts the server of the endpoint, which knows no master yet; nil: there is none. Until Consul's agent has named
// the node, clients get no address, and ask the next endpoint. It returns an error if it cannot listen, or read a file.
func (c *config) openSentinel(ctx context.Context, client *api.Client, log *slog.Logger) (*sentinel.Server, error) {
	if c.sentinel.addr == "" {
		return nil, nil
	}
	o := sentinel.Options{DownAfter: cmp.Or(c.timeout, c.interval), Log: log,
		Failover: func(ctx context.Context) error { return c.failoverFromSentinel(ctx, client) }}
	if err := c.sentinel.prepare(&o, log); err != nil {
		return nil, err
	}
	l, err := listen.On(ctx, "SENTINEL_ADDR", c.sentinel.addr, func(addr net.Addr, failures int, err error) {
		log.Warn("cannot accept a connection to the sentinel endpoint, retrying", "event", "sentinel_accept_failed",
			"addr", addr.String(), "failures", failures, "err", err)
	})
	if err != nil {
		return nil, err
	}
	name := c.sentinelName()
	log.Info("answering clients as a sentinel", "event", "sentinel_listening", "addr", c.sentinel.addr, "master_name", name)
	return sentinel.Serve(context.WithoutCancel(ctx), l, name, o), nil
}

// sentinelName is the name by which clients ask for the master.
func (c *config) sentinelName() string {
	return cmp.Or(c.sentinel.master, c.naming.Service, c.naming.Prefix)
}

// startSentinel starts the endpoint of an agent, if it has one. stop ends and joins it, and is called when the agent has left:
// clients learn who succeeds it.
func (c *config) startSentinel(ctx context.Context, s *sentinel.Server, client *api.Client, me cluster.Master,
	log *slog.Logger) (stop func()) {
	if s == nil {
		return func() {}
	}
	e := c.newSentinel(s, client, me, log)
	until, end := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := e.Run(until, ctx); err != nil {
			log.Error("the sentinel endpoint has ended; its clients find no master here", "event", "sentinel_failed", "err", err)
		}
	}()
	return func() { end(); <-done }
}

// newSentinel makes the endpoint of the process on me's node. Without a host of its own it is registered at the host that the
// member announces, or else at the node's address.
func (c *config) newSentinel(server *sentinel.Server, client *api.Client, me cluster.Master,
	log *slog.Logger) *sentinel.Endpoint {
	host, port, _ := splitAddr(c.sentinel.addr) // its setting has checked it
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = c.announceHost
	}
	service, name := c.naming.EndpointID(catalog.Sentinel, host, port), c.sentinelName()
	id := topology.ID(me.Node, service)
	server.SetID(id)
	e := &sentinel.Endpoint{Server: server, Log: log,
		Feed: &topology.Feed{Client: client, Naming: c.naming, LockKey: c.lockKey, Name: name, Publish: server.Publish, Log: log}}
	if node, _, _ := net.SplitHostPort(me.Address); isLoopback(host) && !isLoopback(node) {
		return e // others cannot connect to it
	}
	e.Registrar = &catalog.Registrar{Client: client, Naming: c.naming, ID: service, Node: me.Node, Host: host, Port: port,
		Interval: c.interval, DeregisterAfter: c.deregister, Log: log}
	e.Entry = catalog.Entry{Role: catalog.Sentinel, Status: api.HealthPassing, Output: "answers as a sentinel of " + name,
		Meta: map[string]string{"id": id, "name": name}}
	return e
}

// prepare reads the files for the first time, and sets how clients authenticate and connect.
func (s *sentinelConfig) prepare(o *sentinel.Options, log *slog.Logger) error {
	login, err := login(log, s.user, s.pass, "SENTINEL_PASSWORD_FILE", s.passFile)
	if err != nil {
		return err
	}
	o.Login = func() (user, password string) { l := login(); return l.Username, l.Password }
	if o.MaxConns, err = listen.MaxConns(maxSentinelClients, sentinelPart); err != nil || s.cert == "" {
		return err
	}
	const files = "SENTINEL_TLS_CERT, SENTINEL_TLS_KEY"
	pair, err := reloading(log, files, func() (*tls.Certificate, error) {
		pair, err := readKeyPair(s.cert, s.key)
		if err != nil {
			return nil, fmt.Errorf("invalid SENTINEL_TLS_CERT and SENTINEL_TLS_KEY: %w", err)
		}
		return &pair, nil
	})
	if err != nil {
		return err
	}
	o.TLS = &tls.Config{MinVersion: tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return pair(), nil }}
	return nil
}

// failoverFromSentinel is SENTINEL FAILOVER: a switchover to the replica with the most recent data.
func (c *config) failoverFromSentinel(ctx context.Context, client *api.Client) error {
	l := lock.Lock{Client: client, Key: c.lockKey}
	before, err := c.mayMove(ctx, l)
	if err == nil {
		r := cluster.Request{Planned: true}
		s := switchover{Request: r, old: *before.State.Master}
		err = submit(ctx, l, r, sentinel.FailoverTimeout, s.next)
	}
	var refused codeError
	switch {
	case errors.Is(err, lock.ErrRequestPending):
		return sentinel.ErrInProgress
	case errors.As(err, &refused) && refused.code == exitRefused:
		return sentinel.RefusedError(err.Error())
	}
	return err
}
