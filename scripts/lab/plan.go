package lab

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sync/errgroup"
)

// Plan describes the servers of a cluster.
type Plan struct {
	Name    string // prefix of its services, of its lock's key, and of its processes' names
	Members int

	Consul   *Consul        // a Consul that is there already; without one,
	Servers  int            // the cluster has so many servers of its own: 1 (also for 0) or 3
	Settings map[string]any // Consul's configuration, added to the lab's, of servers and client agents
	Clients  bool           // each member has a Consul client agent, which its resec uses

	// Network puts each member and each server on a host of its own, and the cluster's clients on one more.
	Network bool
	// Sourced makes each Redis connect from its own address without a network, too: Sentinel knows a replica by that address.
	Sourced bool

	// Sentinel makes each agent answer as a Sentinel, at SentinelAddr.
	Sentinel bool

	// TLS gives each Redis, and each agent, a certificate of this authority's; then Redis has no other port. nil: no TLS
	TLS *Authority

	StartParked bool // Redis is started parked
	ConfigFile  bool // StartParked is in a configuration file of each Redis, which CONFIG REWRITE changes
	Persist     Persist
	RedisArgs   []string // of redis-server
	Program     string   // the resec that is run; empty: that of Resec
	Env         []string // of every resec process
	Each        []Member // what is special about the first members
}

// Persist is what a Redis keeps on its disk.
type Persist string

// What a Redis keeps.
const (
	None Persist = ""    // nothing
	RDB  Persist = "rdb" // a snapshot on SIGTERM, and by Save
	AOF  Persist = "aof" // every write
)

// args are those of redis-server for a member.
func (p Plan) args(m Member) (args []string) {
	if p.StartParked && !p.ConfigFile {
		args = append(args, "--replicaof", Sink)
	}
	switch p.Persist {
	case RDB:
		args = append(args, "--save", "3600 1")
	case AOF:
		args = append(args, "--appendonly", "yes", "--appendfsync", "always")
	}
	return slices.Concat(args, p.RedisArgs, m.RedisArgs)
}

// NewPlanned starts the servers of a cluster, and waits until they answer; the resec agents are started by Agent or Go.
func (l *Lab) NewPlanned(p Plan) (*Cluster, error) {
	k := &Cluster{Lab: l, Plan: p, Consul: p.Consul, Name: p.Name, members: map[int]Member{}, gone: map[int]bool{}}
	if err := k.lay(); err != nil {
		return nil, err
	}
	if err := k.consul(); err != nil {
		return nil, err
	}
	k.Env = slices.Concat([]string{"CONSUL_HTTP_ADDR=" + k.Consul.HTTP(), "CONSUL_SERVICE_PREFIX=" + p.Name,
		"CONSUL_LOCK_KEY=" + p.Name + "/.lock"}, Quick, p.Env)
	for i := range p.Members {
		var m Member
		if i < len(p.Each) {
			m = p.Each[i]
		}
		if _, err := k.Add(m); err != nil {
			return nil, err
		}
	}
	return k, nil
}

// lay makes the network.
func (k *Cluster) lay() (err error) {
	if !k.Plan.Network {
		return nil
	}
	if k.Plan.Consul != nil {
		return errors.New("a cluster on a network has Consul servers of its own")
	}
	if k.Net, err = k.NewNetwork(); err != nil {
		return err
	}
	k.Here, err = k.Net.Host("client")
	return err
}

// place is a host for one more server: on the network, or an address of this machine.
func (k *Cluster) place(name string) (on *NetHost, host string, err error) {
	if k.Net == nil {
		return nil, Host(), nil
	}
	on, err = k.Net.Host(name)
	if err != nil {
		return nil, "", err
	}
	return on, on.Addr, nil
}

// consul starts the cluster's own servers, at once, and waits for each.
func (k *Cluster) consul() error {
	if k.Consul != nil {
		return nil
	}
	n := max(1, k.Plan.Servers)
	on, hosts := make([]*NetHost, n), make([]string, n)
	for i := range n {
		var err error
		if on[i], hosts[i], err = k.place(fmt.Sprint("consul", i)); err != nil {
			return err
		}
	}
	for i := range n {
		c, err := k.startConsul(on[i], fmt.Sprintf("%s-consul%d", k.Name, i), hosts[i], server(n),
			map[string]any{"retry_join": hosts}, k.Plan.Settings)
		if err != nil {
			return err
		}
		k.Servers = append(k.Servers, c)
	}
	k.Consul = k.Servers[0]
	return k.ServersReady(context.Background())
}

// ServersReady waits until every Consul server of the cluster's own can be written to.
func (k *Cluster) ServersReady(ctx context.Context) error {
	var all errgroup.Group
	for _, c := range k.Servers {
		all.Go(func() error { return c.Ready(ctx) })
	}
	return all.Wait()
}
