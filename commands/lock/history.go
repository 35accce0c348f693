package lock

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/hashicorp/consul/api"

	"resec/commands/cluster"
	"resec/commands/pace"
)

// maxHistoryChanges is how many changes of the master are kept.
const maxHistoryChanges = 20

// appendTries bounds how often AppendHistory starts anew because another master has written too.
const appendTries = 3

// History returns the last changes of the master, the newest last. It returns an error if Consul does not answer or denies it.
func (l Lock) History(ctx context.Context) ([]cluster.Change, error) {
	raw, _, err := l.readHistory(ctx)
	if err != nil {
		return nil, err
	}
	var all []cluster.Change
	for _, entry := range raw {
		var c cluster.Change
		if json.Unmarshal(entry, &c) == nil { // otherwise it was overwritten by hand
			all = append(all, c)
		}
	}
	return all, nil
}

// readHistory returns the changes as they were written, with what a newer program added, and the index of their key; 0 if there
// is no such key. A value that is no JSON array, because it was overwritten by hand, is an empty history.
func (l Lock) readHistory(ctx context.Context) (all []json.RawMessage, index uint64, err error) {
	ctx, end := pace.Begin(ctx)
	defer func() { end(err) }()
	p, _, err := l.Client.KV().Get(historyKey(l.Key), (&api.QueryOptions{RequireConsistent: true}).WithContext(ctx))
	if err != nil {
		return nil, 0, fmt.Errorf("read the history %s: %w", historyKey(l.Key), err)
	}
	if p == nil {
		return nil, 0, nil
	}
	if json.Unmarshal(p.Value, &all) != nil {
		all = nil
	}
	return all, p.ModifyIndex, nil
}

// AppendHistory adds a change, and drops the oldest beyond maxHistoryChanges. The caller writes it after the master is in
// service, because a history is worth no delay. It returns ErrChanged if other writers were faster three times in a row,
// ErrDenied if the token does not suffice, and any error of the calls.
func (l Lock) AppendHistory(ctx context.Context, c cluster.Change) error {
	var err error
	for range appendTries {
		if err = l.appendOnce(ctx, c); !errors.Is(err, ErrChanged) {
			return err
		}
	}
	return err
}

func (l Lock) appendOnce(ctx context.Context, c cluster.Change) error {
	all, index, err := l.readHistory(ctx)
	if err != nil {
		return err
	}
	entry, err := json.Marshal(c)
	if err != nil {
		return fmt.Errorf("encode a change of the master: %w", err)
	}
	data, err := json.Marshal(latestChanges(append(all, entry)))
	if err == nil {
		_, err = l.commit(ctx, &api.KVTxnOp{Verb: api.KVCAS, Key: historyKey(l.Key), Value: data, Index: index})
	}
	if err != nil {
		return fmt.Errorf("write the history %s: %w", historyKey(l.Key), err)
	}
	return nil
}

func latestChanges(all []json.RawMessage) []json.RawMessage {
	return all[max(0, len(all)-maxHistoryChanges):]
}
