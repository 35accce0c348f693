package lab

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"time"

	"github.com/hashicorp/consul/api"
)

// Settled waits for one master that takes writes, every other running Redis its linked replica, and a catalogue that
// says just that, all of them recorded.
func (k *Cluster) Settled(d time.Duration) error {
	return Until(context.Background(), d, k.settled)
}

func (k *Cluster) settled() error {
	m, err := k.Linked()
	if err != nil {
		return err
	}
	if err := k.catalogue(m); err != nil {
		return err
	}
	return k.Recorded()
}

// Linked is the index of the one master, if it accepts writes and every other running Redis has received them.
func (k *Cluster) Linked() (int, error) {
	m, err := k.Master()
	if err != nil {
		return 0, err
	}
	replicas := 0
	for i, r := range k.Redis {
		if i == m || !r.Running() {
			continue
		}
		if err := r.Follows(k.Redis[m]); err != nil {
			return 0, err
		}
		replicas++
	}
	if err := k.Redis[m].IsMaster(replicas); err != nil {
		return 0, err
	}
	// A link can be up for a second after a full sync before the stream begins.
	if n, err := k.Redis[m].Do("WAIT", fmt.Sprint(replicas), "500"); err != nil || n != fmt.Sprint(replicas) {
		return 0, fmt.Errorf("%s of %d replicas have received what %s wrote: %w", n, replicas, k.Redis[m].Name, err)
	}
	return m, nil
}

// catalogue returns nil if one passing master is listed, the m-th, and every other running Redis with a running
// agent as a passing replica.
func (k *Cluster) catalogue(m int) error {
	masters, err := k.Entries(k.Name+"-master", "")
	if err != nil {
		return err
	}
	if len(masters) != 1 || addr(masters[0]) != k.Redis[m].Addr || masters[0].Checks.AggregatedStatus() != api.HealthPassing {
		return fmt.Errorf("the catalogue's master is not %s: %s", k.Redis[m].Addr, list(masters))
	}
	replicas, err := k.Entries(k.Name+"-slave", "")
	if err != nil {
		return err
	}
	passing := map[string]bool{}
	for _, e := range replicas {
		passing[addr(e)] = e.Checks.AggregatedStatus() == api.HealthPassing
	}
	for i, r := range k.Redis {
		up := r.Running() && k.Agents[i] != nil && k.Agents[i].Running()
		if i != m && up && !passing[r.Addr] {
			return fmt.Errorf("the catalogue does not list %s as a passing replica: %s", r.Addr, list(replicas))
		}
	}
	return nil
}

func addr(e *api.ServiceEntry) string {
	return net.JoinHostPort(cmp.Or(e.Service.Address, e.Node.Address), fmt.Sprint(e.Service.Port))
}

func list(entries []*api.ServiceEntry) (out []string) {
	for _, e := range entries {
		output := "no check"
		if n := len(e.Checks); n > 0 { // Consul may list it before its checks
			output = e.Checks[n-1].Output
		}
		out = append(out, fmt.Sprintf("%s %s %v (%s)", addr(e), e.Checks.AggregatedStatus(), e.Service.Tags, output))
	}
	return out
}

// Master is the index of the one running Redis that is a master.
func (k *Cluster) Master() (int, error) {
	found := -1
	for i, r := range k.Redis {
		if !r.Running() {
			continue
		}
		role, err := r.Info("role")
		switch {
		case err != nil:
			return 0, err
		case role == "master" && found >= 0:
			return 0, fmt.Errorf("%s and %s are both masters", k.Redis[found].Name, r.Name)
		case role == "master":
			found = i
		}
	}
	if found < 0 {
		return 0, fmt.Errorf("no redis of %s is a master", k.Name)
	}
	return found, nil
}

// Entries are the health entries of a service with, if given, a tag, as a Consul server says that answers.
func (k *Cluster) Entries(service, tag string) (e []*api.ServiceEntry, err error) {
	err = k.ask(context.Background(), func(c *Consul, q *api.QueryOptions) (err error) {
		e, _, err = c.Client.Health().Service(service, tag, false, q)
		return err
	})
	return e, err
}
