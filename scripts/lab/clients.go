package lab

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/consul/api"
)

// Find is the address of the one passing master that Consul lists, as a client without DNS finds it; ErrNoMaster if
// there is none, or two.
func (k *Cluster) Find(ctx context.Context) (master string, err error) {
	err = k.ask(ctx, func(c *Consul, q *api.QueryOptions) error {
		e, _, err := c.Client.Health().Service(k.Name+"-master", "", true, q)
		if len(e) == 1 {
			master = addr(e[0])
		}
		return err
	})
	if err == nil && master == "" {
		err = ErrNoMaster
	}
	return master, err
}

// ErrNoMaster says that Consul lists no passing master, or two.
var ErrNoMaster = errors.New("consul does not list one passing master")

// ask asks the Consul server that answered last, and the next one if it does not.
func (k *Cluster) ask(ctx context.Context, what func(*Consul, *api.QueryOptions) error) (err error) {
	all := k.readers()
	for range all {
		n := k.asked.Load()
		ctx, cancel := context.WithTimeout(ctx, time.Second)
		err = what(all[int(n)%len(all)], (&api.QueryOptions{}).WithContext(ctx))
		cancel()
		if err == nil {
			break
		}
		k.asked.CompareAndSwap(n, n+1) // two may ask at once
	}
	return err
}

// readers are the Consul servers.
func (k *Cluster) readers() []*Consul {
	if len(k.Servers) == 0 {
		return []*Consul{k.Consul}
	}
	return k.Servers
}

// Writing is a client of the cluster on its host for clients, that finds the master in Consul and writes with a pace.
func (k *Cluster) Writing(pace time.Duration) Writing {
	return Writing{Find: k.Find, Dial: secured(k.Here.Dial, k.Redis[0].tls), Password: k.Redis[0].password, Pace: pace}
}

// Leader is the index of the Consul server that most of those that answer call their leader.
func (k *Cluster) Leader() (int, error) {
	votes := make([]int, len(k.Servers))
	for _, c := range k.Servers {
		ctx, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond)
		addr, err := c.Client.Status().LeaderWithQueryOptions((&api.QueryOptions{AllowStale: true}).WithContext(ctx))
		cancel()
		for i, s := range k.Servers {
			if err == nil && addr == s.Host+":8300" {
				votes[i]++
			}
		}
	}
	for i, n := range votes {
		if n > len(k.Servers)/2 {
			return i, nil
		}
	}
	return 0, fmt.Errorf("no consul server leads a majority: %v", votes)
}
