package commands

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"strconv"
	"time"

	"github.com/hashicorp/consul/api"
	"github.com/urfave/cli/v2"

	"resec/commands/catalog"
	"resec/commands/httpapi"
	"resec/commands/listen"
	"resec/commands/proxy"
	"resec/commands/topology"
	"resec/handlers/redis"
)

const proxyGroups = forConsul | forCluster | forProxy

func (p *program) proxy() *cli.Command {
	return p.command("proxy", "", "pass TCP connections on to the master, and to replicas, for clients that know one address",
		proxyGroups, nil, func(c *cli.Context, cfg *config, log *slog.Logger) error {
			client, err := cfg.client()
			if err != nil {
				return err
			}
			x, err := cfg.openProxy(c.Context, client, log)
			if err != nil {
				return err
			}
			defer x.Close()
			server, err := cfg.serveProxyHTTP(c.Context, x, log)
			if err != nil {
				return err
			}
			defer server.Close()
			if cfg.proxy.register {
				if x.Registrar, err = cfg.proxyRegistrar(c.Context, client, log); err != nil {
					return err
				}
			}
			return x.Run(c.Context)
		})
}

// proxyConfig are the settings of the proxy.
type proxyConfig struct {
	write, read  string // host:port; read may be empty: there is no port for reads
	maxLag       int64  // bytes; below 0: any
	replicasOnly bool
	hold, drain  time.Duration
	register     bool
}

// maxProxyClients bounds the clients of each port. A client takes two file descriptors; all take at most proxyPart of them.
const maxProxyClients, proxyPart = 10000, 0.75

// maxLagProbe is the most time between two probes of Redis if -max-lag-bytes is set. Replicas report their offsets every second.
const maxLagProbe = time.Second

func (c *config) proxySettings() []setting {
	x := &c.proxy
	all := []setting{
		{name: "write-addr", env: "PROXY_WRITE_ADDR", def: ":6379", takes: listenAddr, set: address(&x.write),
			usage: "clients of this address are connected to the master"},
		{name: "read-addr", env: "PROXY_READ_ADDR", takes: listenAddr, set: orNone(address(&x.read)),
			usage: "clients of this address are connected to a replica, by turns; off if empty"},
		{name: "max-lag-bytes", env: "PROXY_MAX_LAG_BYTES", takes: "a whole number from 0", set: x.setMaxLag,
			usage: "new clients for reads get no replica that is more bytes behind the master (default: any)"},
		{name: "replicas-only", env: "PROXY_REPLICAS_ONLY", def: "false", takes: trueFalse, set: boolean(&x.replicasOnly), bare: true,
			usage: "without a replica, clients for reads wait, instead of getting the master"},
		{name: "hold", env: "PROXY_HOLD", def: "10s", takes: duration, set: positive(&x.hold),
			usage: "new clients wait so long for a Redis, then they get an error"},
		{name: "drain", env: "PROXY_DRAIN", def: "5s", takes: duration, set: positive(&x.drain),
			usage: "at the end, clients that are busy have so long until they are disconnected"},
		{name: "register", env: "PROXY_REGISTER", def: "false", takes: trueFalse, set: boolean(&x.register), bare: true,
			usage: "register the proxy in Consul as <prefix>-proxy"},
	}
	for i := range all {
		all[i].group = forProxy
	}
	return all
}

// setMaxLag takes a number of bytes, or nothing for any.
func (x *proxyConfig) setMaxLag(v string) error {
	if v == "" {
		x.maxLag = -1
		return nil
	}
	n, err := strconv.ParseInt(v, 10, 64)
	if err != nil || n < 0 {
		return errBad
	}
	x.maxLag = n
	return nil
}

// openProxy starts the servers of the proxy, which know no master yet: clients wait. It returns an error if it cannot listen.
func (c *config) openProxy(ctx context.Context, client *api.Client, log *slog.Logger) (*proxy.Proxy, error) {
	x := &c.proxy
	probe := redis.Probe{Every: c.interval, Timeout: c.timeout, Failures: 1}
	if x.maxLag >= 0 {
		probe.Every = min(probe.Every, maxLagProbe)
	}
	router := proxy.NewRouter(proxy.Router{Creds: c.redis("proxy"), Probe: probe, Replicas: x.read != "", Log: log})
	feed := &topology.Feed{Client: client, Naming: c.naming, LockKey: c.lockKey, Publish: router.Publish, Log: log}
	ports := 1
	if x.read != "" {
		ports = 2
	}
	out := &proxy.Proxy{Feed: feed, Router: router, Drain: x.drain, Log: log}
	most, err := listen.MaxConns(maxProxyClients, proxyPart/2/float64(ports))
	if err != nil {
		return nil, err
	}
	o := proxy.Options{Choose: router.Master, Stays: router.Stays, Hold: x.hold, Refusal: "ERR no master", MaxConns: most,
		Port: "write"}
	if out.Write, err = serveProxyPort(ctx, "PROXY_WRITE_ADDR", x.write, o, log); err != nil || x.read == "" {
		return out, err
	}
	o = proxy.Options{Choose: router.Replica(x.maxLag, !x.replicasOnly), Stays: func(topology.Instance) bool { return true },
		Hold: x.hold, Refusal: "ERR no replica", MaxConns: most, Port: "read"}
	if out.Read, err = serveProxyPort(ctx, "PROXY_READ_ADDR", x.read, o, log); err != nil {
		out.Write.Close()
		return nil, err
	}
	return out, nil
}

func serveProxyPort(ctx context.Context, variable, addr string, o proxy.Options, log *slog.Logger) (*proxy.Server, error) {
	l, err := listen.On(ctx, variable, addr, func(addr net.Addr, failures int, err error) {
		log.Warn("cannot accept a client, retrying", "event", "proxy_accept_failed", "addr", addr.String(), "failures", failures,
			"err", err)
	})
	if err != nil {
		return nil, err
	}
	log.Info("accepting clients", "event", "proxy_listening", "port", o.Port, "addr", addr, "max_clients", o.MaxConns)
	return proxy.Serve(context.WithoutCancel(ctx), l, o), nil
}

// serveProxyHTTP starts the HTTP endpoint of the proxy; nil: LISTEN_ADDR is empty.
func (c *config) serveProxyHTTP(ctx context.Context, x *proxy.Proxy, log *slog.Logger) (*httpapi.Server, error) {
	if c.listen == "" {
		return nil, nil
	}
	return httpapi.Listen(ctx, c.listen, x.Endpoints, log)
}

// proxyRegistrar registers the port for writes, at the host of its address, or else at that of Consul's node.
func (c *config) proxyRegistrar(ctx context.Context, client *api.Client, log *slog.Logger) (*catalog.Registrar, error) {
	me, err := c.identify(ctx, client, log)
	if err != nil {
		return nil, err
	}
	host, port, err := splitAddr(c.proxy.write)
	if err != nil {
		return nil, err
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = ""
	}
	node, _, err := net.SplitHostPort(me.Address)
	if err != nil {
		return nil, err
	}
	if isLoopback(host) && !isLoopback(node) {
		return nil, errors.New("invalid PROXY_REGISTER with PROXY_WRITE_ADDR " + c.proxy.write +
			": takes an address that other hosts can connect to, such as :6379")
	}
	return &catalog.Registrar{Client: client, Naming: c.naming, ID: c.naming.EndpointID(catalog.Proxy, host, port), Node: me.Node,
		Host: host, Port: port, Interval: c.interval, DeregisterAfter: c.deregister, Log: log}, nil
}
