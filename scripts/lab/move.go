package lab

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"syscall"
	"time"
)

// NewAddress gives the host of the i-th member one more address.
func (k *Cluster) NewAddress(i int) (string, error) {
	h := k.Hosts[i]
	if h == nil {
		return "", errors.New("a host without a network has no addresses of its own")
	}
	host := strings.TrimSuffix(h.Addr, ".2") + ".3"
	return host, run("ip", "-n", h.ns, "addr", "add", host+"/24", "dev", "eth0")
}

// MoveConsul makes the Consul client agent of the i-th member leave, and starts it again with another address for its node. Its API
// stays where it is.
func (k *Cluster) MoveConsul(i int, host string) error {
	c := k.Clients[i]
	if _, err := c.Stop(syscall.SIGTERM); err != nil { // the code is 1 if leaving took longer than 5 s
		return err
	}
	c.args = append(slices.Clone(c.args), "-bind", host, "-advertise", host)
	return c.Restart()
}

// MoveRedis makes the i-th Redis listen at another address, and no longer at its old one, and ends all connections to it. A
// Prober must not run meanwhile.
func (k *Cluster) MoveRedis(i int, host string) error {
	r := k.Redis[i]
	for _, command := range [][]string{{"CONFIG", "SET", "bind", "127.0.0.1 " + host}, {"CONFIG", "SET", "bind-source-addr", host},
		{"CLIENT", "KILL", "TYPE", "replica"}, {"CLIENT", "KILL", "TYPE", "normal"}} {
		if _, err := r.Do(command...); err != nil {
			return fmt.Errorf("%s: %v: %w", r.Name, command, err)
		}
	}
	_, port, err := net.SplitHostPort(r.Addr)
	if err != nil {
		return err
	}
	r.Host, r.Addr = host, net.JoinHostPort(host, port)
	r.client, err = connect(r.Dial, r.Addr, r.password, time.Second, "resec:lab")
	if r.client != nil {
		k.onClose(r.client.Close)
	}
	return err
}
