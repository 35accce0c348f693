package lab

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"time"

	"github.com/hashicorp/consul/api"
)

// foreignTimeout bounds one call of an operator or of another tool to Consul.
const foreignTimeout = 5 * time.Second

// Snapshot returns what Consul holds, as `consul snapshot save` does.
func (c *Consul) Snapshot(ctx context.Context) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, foreignTimeout)
	defer cancel()
	in, _, err := c.Client.Snapshot().Save((&api.QueryOptions{}).WithContext(ctx))
	if err != nil {
		return nil, fmt.Errorf("save a snapshot of %s: %w", c.Name, err)
	}
	data, err := io.ReadAll(in)
	if closing := in.Close(); err == nil {
		err = closing
	}
	return data, err
}

// Restored makes Consul hold what it held before, as `consul snapshot restore` does.
func (c *Consul) Restored(snapshot []byte) error {
	ctx, cancel := context.WithTimeout(context.Background(), foreignTimeout)
	defer cancel()
	if err := c.Client.Snapshot().Restore((&api.WriteOptions{}).WithContext(ctx), bytes.NewReader(snapshot)); err != nil {
		return fmt.Errorf("restore a snapshot to %s: %w", c.Name, err)
	}
	return nil
}

// Maintain puts the i-th member's service into maintenance for a reason, as `consul maint -service` does; without a reason it ends
// the maintenance.
func (k *Cluster) Maintain(i int, reason string) error {
	e, err := k.Entry(i)
	if err != nil {
		return err
	}
	agent := k.Beside(i).Client.Agent()
	if reason == "" {
		return agent.DisableServiceMaintenance(e.Service.ID)
	}
	return agent.EnableServiceMaintenance(e.Service.ID, reason)
}

// Overwrite registers the i-th member's service as a replica's with the servers, behind the back of its Consul agent.
func (k *Cluster) Overwrite(i int) error {
	e, err := k.Entry(i)
	if err != nil {
		return err
	}
	service := *e.Service
	service.Service, service.Tags = k.Name+"-slave", nil
	_, err = k.Consul.Client.Catalog().Register(&api.CatalogRegistration{Node: e.Node.Node, Address: e.Node.Address, Service: &service,
		SkipNodeUpdate: true}, nil)
	return err
}

// Noise writes a key below the cluster's lock that is none of its own.
func (k *Cluster) Noise(value string) error {
	_, err := k.Consul.Client.KV().Put(&api.KVPair{Key: k.lockKey() + "/noise", Value: []byte(value)}, nil)
	return err
}

// ForeignCheck registers a check of somebody else for a service of the i-th member. It is critical until it is passed.
func (k *Cluster) ForeignCheck(i int, id, service string) error {
	return k.Clients[i].Client.Agent().CheckRegister(&api.AgentCheckRegistration{ID: id, Name: "load", Notes: "of somebody else",
		ServiceID: service, AgentServiceCheck: api.AgentServiceCheck{TTL: "1h"}})
}
