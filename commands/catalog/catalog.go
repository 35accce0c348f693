package catalog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/hashicorp/consul/api"

	"resec/handlers"
)

// Instances are the entries of both roles, whatever their health.
func (n Naming) Instances(ctx context.Context, client *api.Client) ([]handlers.Entry, error) {
	var all []handlers.Entry
	for _, service := range slices.Compact([]string{n.Name(Master), n.Name(Replica)}) {
		entries, err := read(ctx, client, service)
		if err != nil {
			return nil, err
		}
		all = append(all, entries...)
	}
	return all, nil
}

// Evict removes the master entries of members other than keep. Their agents, where they live, register them anew in
// the role that is theirs by then; a dead one's entry would stay. What resec did not register is left alone.
func (n Naming) Evict(ctx context.Context, client *api.Client, keep string) error {
	entries, err := read(ctx, client, n.Name(Master))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	var errs []error
	for _, e := range entries {
		if !n.Has(e, Master) || e.ID() == "" || e.ID() == keep {
			continue
		}
		_, err := client.Catalog().Deregister(&api.CatalogDeregistration{Node: e.Node.Node, ServiceID: e.Service.ID},
			(&api.WriteOptions{}).WithContext(ctx))
		if err != nil {
			errs = append(errs, fmt.Errorf("remove the old master entry %s on %s: %w", e.Service.ID, e.Node.Node, err))
		}
	}
	return errors.Join(errs...)
}

func read(ctx context.Context, client *api.Client, service string) ([]handlers.Entry, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	found, _, err := client.Health().Service(service, "", false, (&api.QueryOptions{}).WithContext(ctx))
	if err != nil {
		return nil, fmt.Errorf("read service %s: %w", service, err)
	}
	return Entries(found)
}

// Entries turns what Consul's API gives into what handlers read: the same JSON.
func Entries(found any) ([]handlers.Entry, error) {
	data, err := json.Marshal(found)
	if err != nil {
		return nil, fmt.Errorf("encode the service entries: %w", err)
	}
	return handlers.ParseEntries(data)
}
