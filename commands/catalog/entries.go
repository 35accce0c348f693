package catalog

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"

	"github.com/hashicorp/consul/api"

	"resec/commands/pace"
	"resec/handlers"
)

// Instances returns the entries of both roles, whatever their health, and returns each replica twice if the roles are two
// services: the replicas are read before and after the masters. A member that changes its role meanwhile is therefore listed
// twice, never not at all. An error wraps Consul's; it is returned as well if the ACL hides every entry.
func (n Naming) Instances(ctx context.Context, client *api.Client) ([]handlers.Entry, error) {
	var all []handlers.Entry
	someHidden := false
	for _, service := range slices.Compact([]string{n.Name(Replica), n.Name(Master), n.Name(Replica)}) {
		entries, hidden, err := readService(ctx, client, service)
		if err != nil {
			return nil, err
		}
		all, someHidden = append(all, entries...), someHidden || hidden
	}
	if someHidden && len(all) == 0 { // if only some are hidden, they may be those of a node that was removed
		const hidden = "the token lacks permission 'service:read' on them, or 'node:read' on their nodes"
		return nil, fmt.Errorf("read services %s and %s: %s", n.Name(Master), n.Name(Replica), hidden)
	}
	return all, nil
}

// WarnUnreadable logs if the token may not read the entries: a watch shows those that an ACL hides as none.
func (n Naming) WarnUnreadable(ctx context.Context, client *api.Client, log *slog.Logger) {
	if _, err := n.Instances(ctx, client); err != nil && ctx.Err() == nil {
		log.Warn("cannot read the master service; entries may be hidden by an ACL", "event", "service_unreadable",
			"service", n.Name(Master), "err", err)
	}
}

// readService returns the entries of one service, and reports whether the ACL hides some of them.
func readService(ctx context.Context, client *api.Client, service string) (entries []handlers.Entry, hidden bool, err error) {
	ctx, end := pace.Begin(ctx)
	found, meta, err := client.Health().Service(service, "", false, (&api.QueryOptions{}).WithContext(ctx))
	if end(err); err != nil {
		return nil, false, fmt.Errorf("read service %s: %w", service, err)
	}
	entries, err = Entries(found)
	return entries, meta.ResultsFilteredByACLs, err
}

// Entries converts service entries of Consul's API to those that handlers read; both have the same JSON. It returns an error if
// they cannot be encoded, or are no service entries.
func Entries(found any) ([]handlers.Entry, error) {
	data, err := json.Marshal(found)
	if err != nil {
		return nil, fmt.Errorf("encode service entries: %w", err)
	}
	return handlers.ParseEntries(data)
}
