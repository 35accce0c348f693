package catalog

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/hashicorp/consul/api"

	"resec/commands/pace"
	"resec/handlers"
)

// DemoteOps returns the operations that turn the master entries among entries into replica entries, one operation each.
// The entry of our own instance (node, service id) is left alone, and so is every entry without a member's id in its metadata.
//
// An old master's agent registers it in its new role by itself. If that agent is dead its entry would stay a master's: the
// operation demotes it. The entry is not deregistered, because a member without an entry counts as one that has left.
// Each operation is a compare-and-set on the entry that was read: its member may be registering under the same id right now.
func (n Naming) DemoteOps(entries []handlers.Entry, node, service string) (ops api.TxnOps) {
	for _, e := range entries {
		own := e.Node.Node == node && e.Service.ID == service
		if own || e.ID() == "" || !n.Matches(e, Master) {
			continue
		}
		ops = append(ops, &api.TxnOp{Service: &api.ServiceTxnOp{Verb: api.ServiceCAS, Node: e.Node.Node, Service: api.AgentService{
			ID: e.Service.ID, Service: n.Name(Replica), Tags: n.Tags(Replica), Address: e.Service.Address, Port: e.Service.Port,
			Meta: e.Service.Meta, Weights: api.AgentWeights{Passing: 1, Warning: 1}, ModifyIndex: e.Service.ModifyIndex}}})
	}
	return ops
}

// ReadDemoteOps reads the master entries and returns their DemoteOps. It returns an error if they cannot be read.
func (n Naming) ReadDemoteOps(ctx context.Context, client *api.Client, node, service string) (ops api.TxnOps, err error) {
	entries, _, err := readService(ctx, client, n.Name(Master))
	return n.DemoteOps(entries, node, service), err
}

// Demote reads the master entries and turns all but our own into replica entries, each in a transaction of its own. An entry
// that changes meanwhile is left alone. It returns the errors of all that could not be read or demoted, joined.
func (n Naming) Demote(ctx context.Context, client *api.Client, node, service string) error {
	ops, err := n.ReadDemoteOps(ctx, client, node, service)
	ctx, cancel := context.WithTimeout(ctx, pace.Calls(ctx, 2))
	defer cancel()
	for _, op := range ops {
		if e := demote(ctx, client, op); e != nil {
			err = errors.Join(err, fmt.Errorf("demote old master entry %s on node %s: %w", op.Service.Service.ID, op.Service.Node, e))
		}
	}
	return err
}

// demote carries one operation out. It returns nil if the entry has changed since it was read.
func demote(ctx context.Context, client *api.Client, op *api.TxnOp) error {
	ok, res, _, err := client.Txn().Txn(api.TxnOps{op}, (&api.QueryOptions{}).WithContext(ctx))
	if err != nil || ok {
		return err
	}
	for _, e := range res.Errors {
		if !strings.Contains(e.What, "index is stale") { // a failed compare-and-set has no error code of its own
			return errors.New(e.What)
		}
	}
	return nil
}
