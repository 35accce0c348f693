package catalog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/consul/api"

	"resec/handlers"
)

// Instances are the entries of both roles, whatever their health. Replicas are read first and last: a member that changes
// its role meanwhile, either way, is then listed twice rather than not at all.
func (n Naming) Instances(ctx context.Context, client *api.Client) ([]handlers.Entry, error) {
	var all []handlers.Entry
	some := false // is hidden
	for _, service := range slices.Compact([]string{n.Name(Replica), n.Name(Master), n.Name(Replica)}) {
		entries, hidden, err := read(ctx, client, service)
		if err != nil {
			return nil, err
		}
		all, some = append(all, entries...), some || hidden
	}
	if some && len(all) == 0 { // a node that is gone may be hidden rightly
		return nil, fmt.Errorf("read services %s and %s: the token lacks permission 'service:read' on them, or 'node:read' on their nodes", n.Name(Master), n.Name(Replica))
	}
	return all, nil
}

// ReadDemoteOps turn the master entries of all but our own instance into replicas' entries, one operation of a transaction each.
// Their agents, where they live, register them anew in the role that is theirs by then; a dead one's would stay. It is not
// removed: who is not listed counts as one that has left. Only the very entry that was read is changed: its member may be
// registering right now, under the same id. What resec did not register is left alone.
func (n Naming) ReadDemoteOps(ctx context.Context, client *api.Client, node, service string) (ops api.TxnOps, err error) {
	entries, _, err := read(ctx, client, n.Name(Master))
	return n.DemoteOps(entries, node, service), err
}

// DemoteOps are the Demotions of entries that were read already.
func (n Naming) DemoteOps(entries []handlers.Entry, node, service string) (ops api.TxnOps) {
	for _, e := range entries {
		if !n.Matches(e, Master) || e.ID() == "" || e.Node.Node == node && e.Service.ID == service {
			continue
		}
		ops = append(ops, &api.TxnOp{Service: &api.ServiceTxnOp{Verb: api.ServiceCAS, Node: e.Node.Node, Service: api.AgentService{
			ID: e.Service.ID, Service: n.Name(Replica), Tags: n.Tags(Replica), Address: e.Service.Address, Port: e.Service.Port,
			Meta: e.Service.Meta, Weights: api.AgentWeights{Passing: 1, Warning: 1}, ModifyIndex: e.Service.ModifyIndex}}})
	}
	return ops
}

// Demote carries the Demotions out.
func (n Naming) Demote(ctx context.Context, client *api.Client, node, service string) error {
	ops, err := n.ReadDemoteOps(ctx, client, node, service)
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	for _, op := range ops {
		if e := demote(ctx, client, op); e != nil {
			err = errors.Join(err, fmt.Errorf("demote the old master entry %s on %s: %w", op.Service.Service.ID, op.Service.Node, e))
		}
	}
	return err
}

// demote changes an entry, unless it has changed since it was read.
func demote(ctx context.Context, client *api.Client, op *api.TxnOp) error {
	ok, res, _, err := client.Txn().Txn(api.TxnOps{op}, (&api.QueryOptions{}).WithContext(ctx))
	if err != nil || ok {
		return err
	}
	for _, e := range res.Errors {
		if !strings.Contains(e.What, "index is stale") { // it has no code of its own
			return errors.New(e.What)
		}
	}
	return nil
}

// read also tells whether an ACL hides something.
func read(ctx context.Context, client *api.Client, service string) ([]handlers.Entry, bool, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	found, meta, err := client.Health().Service(service, "", false, (&api.QueryOptions{}).WithContext(ctx))
	if err != nil {
		return nil, false, fmt.Errorf("read service %s: %w", service, err)
	}
	all, err := Entries(found)
	return all, meta.ResultsFilteredByACLs, err
}

// Entries turns what Consul's API gives into what handlers read: the same JSON.
func Entries(found any) ([]handlers.Entry, error) {
	data, err := json.Marshal(found)
	if err != nil {
		return nil, fmt.Errorf("encode the service entries: %w", err)
	}
	return handlers.ParseEntries(data)
}
