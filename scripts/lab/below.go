package lab

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/consul/api"
)

// Keys are the cluster's lock and the keys below it.
func (k *Cluster) Keys() (pairs api.KVPairs, err error) {
	err = k.ask(context.Background(), func(c *Consul, q *api.QueryOptions) (err error) {
		pairs, _, err = c.Client.KV().List(k.lockKey(), q)
		return err
	})
	return pairs, err
}

// Sessions are those of the name that the cluster's agents give them.
func (k *Cluster) Sessions() (own []*api.SessionEntry, err error) {
	var all []*api.SessionEntry
	err = k.ask(context.Background(), func(c *Consul, q *api.QueryOptions) (err error) {
		all, _, err = c.Client.Session().List(q)
		return err
	})
	name := cmp.Or(k.env("CONSUL_LOCK_SESSION_NAME"), "resec")
	for _, s := range all {
		if s.Name == name {
			own = append(own, s)
		}
	}
	return own, err
}

// EndSession destroys the session of the i-th member, as any holder of session:write can.
func (k *Cluster) EndSession(i int) error {
	pairs, err := k.Keys()
	if err != nil {
		return err
	}
	for _, p := range pairs {
		if p.Session != "" && strings.HasSuffix(p.Key, "/members/"+k.id(i)) {
			return k.ask(context.Background(), func(c *Consul, q *api.QueryOptions) error {
				_, err := c.Client.Session().Destroy(p.Session, (&api.WriteOptions{}).WithContext(q.Context()))
				return err
			})
		}
	}
	return fmt.Errorf("%s has no session", k.id(i))
}

// env is a variable of the agents' environment. If it is set twice, the last value counts.
func (k *Cluster) env(name string) (value string) {
	for _, kv := range k.Env {
		if v, ok := strings.CutPrefix(kv, name+"="); ok {
			value = v
		}
	}
	return value
}

// lockKey is that of the agents; an empty one is none.
func (k *Cluster) lockKey() string { return cmp.Or(k.env("CONSUL_LOCK_KEY"), "resec/.lock") }

// id is the i-th member's.
func (k *Cluster) id(i int) string { return cmp.Or(k.members[i].ID, fmt.Sprint("m", i)) }

// aliveInSerf is how Consul marks an agent that gossips.
const aliveInSerf = 1

// Rejoin is Joined, and makes each server look for the agents that it does not call alive, whatever it calls them, as an operator
// does with `consul join`: by itself a server looks for a failed one each 30 s, and then only now and then, the fewer of them
// there are the less often; for one that it forgot or that left, never.
// Source: https://github.com/hashicorp/serf/blob/master/serf/serf.go, reconnect
func (k *Cluster) Rejoin() error {
	err := k.Joined()
	if err == nil {
		return nil
	}
	alive, unread := k.alive()
	known := map[string]bool{}
	for _, seen := range alive {
		for addr := range seen {
			known[addr] = true
		}
	}
	for i, s := range k.Servers {
		for addr := range known {
			if !alive[i][addr] {
				_ = s.Client.Agent().Join(addr, false) // Joined reports whether it helped
			}
		}
	}
	return errors.Join(err, unread)
}

// rejoins bounds how long Heal waits until Consul's agents know one another again.
const rejoins = 20 * time.Second

// Heal makes every link of the hosts whole, without hosts every link there is, and waits until Consul's agents know one another
// again, as with Rejoin. Their processes must run.
func (k *Cluster) Heal(of ...*NetHost) error {
	if err := k.Net.HealAll(of...); err != nil {
		return err
	}
	return Until(context.Background(), rejoins, k.Rejoin)
}

// RestartAbsent restarts the Consul clients that a server does not call alive, as an operator does if joining does not help. One
// that was killed while it left can stay "left" in Serf although it gossips. It restarts none if a server cannot be read.
func (k *Cluster) RestartAbsent() error {
	alive, err := k.alive()
	if err != nil {
		return err
	}
	for _, c := range k.Clients {
		here := net.JoinHostPort(c.Host, serfPort)
		if !slices.ContainsFunc(alive, func(seen map[string]bool) bool { return !seen[here] }) {
			continue
		}
		c.Kill()
		err = errors.Join(err, c.Restart())
	}
	return err
}

// serfPort is where a Consul agent gossips.
const serfPort = "8301"

// alive is, for each server, the addresses of the agents that it knows, and whether it calls them alive.
func (k *Cluster) alive() ([]map[string]bool, error) {
	var unread error
	alive := make([]map[string]bool, len(k.Servers))
	for i, s := range k.Servers {
		members, err := s.Client.Agent().Members(false)
		unread = errors.Join(unread, err)
		alive[i] = map[string]bool{}
		for _, m := range members {
			alive[i][net.JoinHostPort(m.Addr, strconv.Itoa(int(m.Port)))] = m.Status == aliveInSerf
		}
	}
	return alive, unread
}

// Joined returns nil if each Consul server knows every Consul agent of the cluster, and calls it alive.
func (k *Cluster) Joined() error {
	for _, s := range k.Servers {
		members, err := s.Client.Agent().Members(false)
		if err != nil {
			return err
		}
		alive := 0
		for _, m := range members {
			if m.Status == aliveInSerf {
				alive++
			}
		}
		if want := len(k.Servers) + len(k.Clients); alive != want {
			return fmt.Errorf("%s calls %d of %d consul agents alive", s.Name, alive, want)
		}
	}
	return nil
}
