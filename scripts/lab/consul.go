package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/hashicorp/consul/api"
)

// Consul is one Consul agent, a server or a client.
type Consul struct {
	*Process
	Host   string
	Net    *NetHost // where it runs; nil: on this machine
	Dir    string   // its data
	Client *api.Client

	CloseIdle func() // ends the client's idle connections
}

// Token manages a Consul that was started with Deny.
const Token = "c0ffee00-0000-0000-0000-000000000000"

// Deny are the settings of a Consul that allows nothing without a token.
var Deny = map[string]any{"acl": map[string]any{"enabled": true, "default_policy": "deny",
	"tokens": map[string]string{"initial_management": Token, "agent": Token}}}

// HTTP is the address of its API.
func (c *Consul) HTTP() string { return c.Host + ":8500" }

// StartConsul starts a server that is a cluster of its own, and waits until it can be written to. Its node's name is
// given; the settings are Consul's configuration, added to the lab's own. With settings for ACLs, Token is the
// management token.
func (l *Lab) StartConsul(node string, settings map[string]any) (*Consul, error) {
	c, err := l.startConsul(nil, node, Host(), server(1), settings)
	if err != nil {
		return nil, err
	}
	return c, c.Ready(context.Background())
}

// server are the settings of one of n servers.
func server(n int) map[string]any {
	return map[string]any{"server": true, "bootstrap_expect": n, "leave_on_terminate": false,
		"performance": map[string]int{"raft_multiplier": 1}, "session_ttl_min": "1s", "ui_config": map[string]bool{"enabled": true}}
}

// startConsul starts an agent, and does not wait. Later settings win.
func (l *Lab) startConsul(on *NetHost, node, host string, settings ...map[string]any) (*Consul, error) {
	bin, err := Need("consul")
	if err != nil {
		return nil, err
	}
	c := &Consul{Host: host, Net: on, Dir: filepath.Join(l.Dir, node)}
	conf := map[string]any{
		"node_name": node, "data_dir": c.Dir, "bind_addr": host, "client_addr": host, "advertise_addr": host,
		"ports":                map[string]int{"serf_wan": -1, "grpc": -1, "grpc_tls": -1},
		"limits":               map[string]int{"http_max_conns_per_client": 5000},
		"log_level":            "warn",
		"retry_interval":       "500ms",
		"disable_update_check": true, "disable_remote_exec": true, "connect": map[string]bool{"enabled": false},
	}
	for _, s := range settings {
		maps.Copy(conf, s)
	}
	data, err := json.Marshal(conf)
	if err != nil {
		return nil, err
	}
	file := filepath.Join(l.Dir, node+".json")
	if err := os.WriteFile(file, data, 0o644); err != nil {
		return nil, err
	}
	apiConf := &api.Config{Address: c.HTTP(), Transport: &http.Transport{DialContext: c.Dial, MaxIdleConnsPerHost: 16, IdleConnTimeout: time.Minute}}
	if conf["acl"] != nil {
		apiConf.Token = Token
	}
	if c.Client, err = api.NewClient(apiConf); err != nil {
		return nil, err
	}
	c.CloseIdle = apiConf.Transport.CloseIdleConnections
	c.Process, err = l.Start(node, nil, on.In(bin, "agent", "-config-file", file)...)
	return c, err
}

// Dial connects to the agent from its own host, so that no cut of the network affects the connection.
func (c *Consul) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	return c.Net.Dial(ctx, network, addr)
}

// Ready waits until Consul can be written to.
func (c *Consul) Ready(ctx context.Context) error {
	return Until(ctx, 30*time.Second, func() error {
		if !c.Running() {
			return fmt.Errorf("consul ended:\n%s", c.Output())
		}
		ctx, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		_, err := c.Client.KV().Put(&api.KVPair{Key: "lab/ready"}, (&api.WriteOptions{}).WithContext(ctx))
		return err
	})
}

// Restart starts the agent again after it ended, and waits until it can be written to.
func (c *Consul) Restart() error {
	if err := c.Start(); err != nil {
		return err
	}
	return c.Ready(context.Background())
}

// Lookup asks Consul's DNS for a service's one instance: host:port of its SRV record, and an error if there are
// none or several.
func (c *Consul) Lookup(ctx context.Context, service string) (string, error) {
	r := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return c.Dial(ctx, "tcp", c.Host+":8600")
	}}
	_, srvs, err := r.LookupSRV(ctx, "", "", service+".service.consul.")
	if err != nil {
		return "", err
	}
	if len(srvs) != 1 {
		return "", fmt.Errorf("%d instances of %s", len(srvs), service)
	}
	hosts, err := r.LookupHost(ctx, srvs[0].Target)
	if err != nil {
		return "", err
	}
	if len(hosts) != 1 {
		return "", errors.New("several addresses of " + srvs[0].Target)
	}
	return net.JoinHostPort(hosts[0], fmt.Sprint(srvs[0].Port)), nil
}

// Entries are the health entries of a service with, if given, a tag.
func (c *Consul) Entries(service, tag string) ([]*api.ServiceEntry, error) {
	e, _, err := c.Client.Health().Service(service, tag, false, nil)
	return e, err
}
