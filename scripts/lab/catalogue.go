package lab

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/consul/api"
)

// Catalogue watches which instances of a service Consul lists as passing, by a blocking query, which sees a change at
// once, and 20 times a second, which sees that nothing changes and what a query that hangs does not.
type Catalogue struct {
	service string
	from    []*Consul
	stop    context.CancelFunc
	all     sync.WaitGroup

	mu        sync.Mutex
	last      answer
	two, none []Interval
}

// answer is an answer of Consul.
type answer struct {
	passing int
	index   uint64
	at      time.Time
}

// StartCatalogue starts to watch a service on one of the Consul agents, and on the next if that fails. Each is reached
// from where it runs.
func StartCatalogue(ctx context.Context, service string, from ...*Consul) *Catalogue {
	c := &Catalogue{service: service, from: from}
	ctx, c.stop = context.WithCancel(ctx)
	c.all.Go(func() { c.loop(ctx, 2*time.Second) })
	c.all.Go(func() { c.loop(ctx, 0) })
	return c
}

// loop repeats a query: every 50 ms or, if it is a blocking query, after each change.
func (c *Catalogue) loop(ctx context.Context, patience time.Duration) {
	var index uint64
	for n := 0; ctx.Err() == nil; {
		q := &api.QueryOptions{}
		if patience > 0 {
			q.WaitIndex, q.WaitTime = index, patience
		}
		sent := time.Now()
		e, meta, err := c.ask(ctx, c.from[n%len(c.from)], q)
		if err == nil {
			if meta.LastIndex < index { // Consul lost its data
				meta.LastIndex = 0
			}
			index = meta.LastIndex
			c.saw(sent, answer{len(e), index, time.Now()})
		} else {
			index = 0
			n++
		}
		if err != nil || patience == 0 {
			wait(ctx, 50*time.Millisecond)
		}
	}
}

func (c *Catalogue) ask(ctx context.Context, consul *Consul, q *api.QueryOptions) ([]*api.ServiceEntry, *api.QueryMeta, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Second+2*q.WaitTime)
	defer cancel()
	return consul.Client.Health().Service(c.service, "", true, q.WithContext(ctx))
}

// saw records an answer. One that is older than an answer of the other loop is ignored.
func (c *Catalogue) saw(sent time.Time, a answer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if a.index < c.last.index && sent.Before(c.last.at) {
		return
	}
	before := c.last
	c.last = a
	switch {
	case a.passing == 0:
		note(&c.none, before.passing == 0 && !before.at.IsZero(), a.at)
	case a.passing > 1:
		note(&c.two, before.passing > 1, a.at)
	}
}

// note lengthens the last interval, or begins one.
func note(all *[]Interval, goesOn bool, at time.Time) {
	if goesOn {
		(*all)[len(*all)-1].To = at
		return
	}
	*all = append(*all, Interval{at, at})
}

// Stop ends the watching.
func (c *Catalogue) Stop() {
	c.stop()
	c.all.Wait()
}

// Two are the times in which several masters were listed, from the first answer with several to the last.
func (c *Catalogue) Two() []Interval {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.two)
}

// None are the times in which none was listed.
func (c *Catalogue) None() []Interval {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.none)
}

// Listed returns nil once one is listed.
func (c *Catalogue) Listed() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.last.passing != 1 {
		return ErrNoMaster
	}
	return nil
}

// Relist registers a master's entry again, as its Consul agent does by anti-entropy if it does not know of another role.
func (k *Cluster) Relist(e *api.ServiceEntry) error {
	id := "service:" + e.Service.ID
	_, err := k.Consul.Client.Catalog().Register(&api.CatalogRegistration{Node: e.Node.Node, Address: e.Node.Address, SkipNodeUpdate: true,
		Service: &api.AgentService{ID: e.Service.ID, Service: e.Service.Service, Tags: e.Service.Tags, Address: e.Service.Address, Port: e.Service.Port, Meta: e.Service.Meta},
		Check:   &api.AgentCheck{Node: e.Node.Node, CheckID: id, Name: "again", Status: api.HealthPassing, ServiceID: e.Service.ID}}, nil)
	return err
}

// ListedMasters are the entries of passing masters.
func (k *Cluster) ListedMasters() ([]*api.ServiceEntry, error) {
	all, _, err := k.Consul.Client.Health().Service(k.Name+"-master", "", true, nil)
	return all, err
}

// Unlist removes an entry from Consul's servers; its Consul agent still has it.
func (k *Cluster) Unlist(e *api.ServiceEntry) error {
	_, err := k.Consul.Client.Catalog().Deregister(&api.CatalogDeregistration{Node: e.Node.Node, ServiceID: e.Service.ID}, nil)
	return err
}

// Entry is the entry of the i-th Redis, in whichever role.
func (k *Cluster) Entry(i int) (*api.ServiceEntry, error) {
	for _, role := range []string{"-master", "-slave"} {
		all, err := k.Entries(k.Name+role, "")
		if err != nil {
			return nil, err
		}
		for _, e := range all {
			if addr(e) == k.Redis[i].Addr {
				return e, nil
			}
		}
	}
	return nil, fmt.Errorf("%s has no entry", k.Redis[i].Name)
}
