package lab

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
)

// Member is what is special about one member.
type Member struct {
	ID        string   // m<i> if not given
	RedisArgs []string // of redis-server, after the plan's
	Server    string   // path of another redis-server; empty: that on the PATH
	Env       []string // of its resec processes
}

// Add starts one more Redis, empty and on a host of its own, with its Consul client agent if the plan has those. Its
// resec agent is started by Agent.
func (k *Cluster) Add(m Member) (i int, err error) {
	i = len(k.Redis)
	if m.ID == "" {
		m.ID = fmt.Sprint("m", i)
	}
	on, host, err := k.place(m.ID)
	if err != nil {
		return 0, err
	}
	if k.Plan.Clients {
		c, err := k.client(on, host, fmt.Sprintf("%s-client%d", k.Name, i))
		if err != nil {
			return 0, err
		}
		k.Clients = append(k.Clients, c)
	}
	args := k.Plan.args(m)
	if k.Plan.Sourced {
		args = append(args, "--bind-source-addr", host)
	}
	client, secured, err := k.secure(&m, host)
	if err != nil {
		return 0, err
	}
	name := fmt.Sprintf("%s-redis%d", k.Name, i)
	if k.Plan.ConfigFile {
		file, err := k.configFile(name)
		if err != nil {
			return 0, err
		}
		args = append([]string{file}, args...)
	}
	r, err := k.startRedis(on, client, m.Server, name, net.JoinHostPort(host, "6379"), append(args, secured...))
	if err != nil {
		return 0, err
	}
	k.members[i] = m
	k.Redis, k.Agents, k.Hosts = append(k.Redis, r), append(k.Agents, nil), append(k.Hosts, on)
	for _, w := range k.watches {
		w.Prober.Add(r)
	}
	return i, nil
}

// configFile writes a configuration file of redis-server, outside of the server's data.
func (k *Cluster) configFile(name string) (path string, err error) {
	text := ""
	if k.Plan.StartParked {
		text = "replicaof " + Sink + "\n"
	}
	path = filepath.Join(k.Dir, name+".conf")
	return path, os.WriteFile(path, []byte(text), 0o600)
}

// secure gives a member its certificate, for its Redis and its agent, and returns how clients connect then.
func (k *Cluster) secure(m *Member, host string) (*tls.Config, []string, error) {
	ca := k.Plan.TLS
	if ca == nil {
		return nil, nil, nil
	}
	cert, key, err := ca.Issue(k.Name+"-"+m.ID, host)
	if err != nil {
		return nil, nil, err
	}
	m.Env = append([]string{"REDIS_TLS=true", "REDIS_CACERT=" + ca.CA, "REDIS_CLIENT_CERT=" + cert, "REDIS_CLIENT_KEY=" + key}, m.Env...)
	c, err := ca.Client(cert, key)
	return c, []string{"--port", "0", "--tls-port", "6379", "--tls-cert-file", cert, "--tls-key-file", key, "--tls-ca-cert-file", ca.CA}, err
}

// client starts a Consul client agent that joins the servers. As Consul's default is, SIGTERM makes it leave.
func (k *Cluster) client(on *NetHost, host, node string) (*Consul, error) {
	var join []string
	for _, s := range k.readers() {
		join = append(join, s.Host)
	}
	c, err := k.startConsul(on, node, host, map[string]any{"retry_join": join, "leave_on_terminate": true}, k.Plan.Settings)
	if err != nil {
		return nil, err
	}
	return c, c.Ready(context.Background())
}

// Beside is the Consul agent that the i-th member's resec speaks to: its client agent, else one of the servers.
func (k *Cluster) Beside(i int) *Consul {
	switch {
	case i < len(k.Clients):
		return k.Clients[i]
	case len(k.Servers) > 0:
		return k.Servers[i%len(k.Servers)]
	}
	return k.Consul
}

// Remove removes a member for good: it stops its agent, then its Redis and its Consul client agent. The
// indices of the others stay, and Settled no longer expects it.
func (k *Cluster) Remove(i int) error {
	if a := k.Agents[i]; a != nil && a.Running() {
		if code, err := a.Stop(syscall.SIGTERM); err != nil || code != 0 {
			return fmt.Errorf("%s left with %d: %w\n%s", a.Name, code, err, a.Output())
		}
	}
	if _, err := k.Redis[i].Stop(syscall.SIGTERM); err != nil {
		return err
	}
	if i < len(k.Clients) {
		if _, err := k.Clients[i].Stop(syscall.SIGTERM); err != nil {
			return err
		}
	}
	k.gone[i] = true
	return nil
}

// Crash kills all of a member at the same moment: its agent, its Redis and its Consul client agent. Its host continues to
// refuse connections; for a host that does not answer, Isolate it first.
func (k *Cluster) Crash(i int) {
	var all sync.WaitGroup
	for _, p := range k.Processes(i) {
		all.Go(p.Kill)
	}
	all.Wait()
}

// Boot starts what does not run of a member, as after a Crash, and waits until Redis answers.
func (k *Cluster) Boot(i int) error {
	for _, p := range slices.Backward(k.Processes(i)) {
		if !p.Running() {
			if err := p.Start(); err != nil {
				return err
			}
		}
	}
	return k.Redis[i].Ready(context.Background())
}

// Processes are those of a member, its agent first.
func (k *Cluster) Processes(i int) (ps []*Process) {
	if k.Agents[i] != nil {
		ps = append(ps, k.Agents[i])
	}
	ps = append(ps, k.Redis[i].Process)
	if i < len(k.Clients) {
		ps = append(ps, k.Clients[i].Process)
	}
	return ps
}
