package lock

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/hashicorp/consul/api"

	"resec/commands/cluster"
)

// maxHistoryChanges is how many changes are kept.
const maxHistoryChanges = 20

// History are the last changes, the newest last.
func (l Lock) History(ctx context.Context) ([]cluster.Change, error) {
	all, _, err := l.history(ctx)
	return all, err
}

func (l Lock) history(ctx context.Context) (all []cluster.Change, index uint64, err error) {
	ctx, cancel := context.WithTimeout(ctx, CallTimeout)
	defer cancel()
	p, _, err := l.Client.KV().Get(historyKey(l.Key), (&api.QueryOptions{RequireConsistent: true}).WithContext(ctx))
	if err != nil {
		return nil, 0, fmt.Errorf("read the history %s: %w", historyKey(l.Key), err)
	}
	if p == nil {
		return nil, 0, nil
	}
	if json.Unmarshal(p.Value, &all) != nil {
		all = nil // somebody has overwritten it: it begins anew
	}
	return all, p.ModifyIndex, nil
}

// AppendHistory adds a change. It is written after the master is in service: a history is worth no delay.
func (l Lock) AppendHistory(ctx context.Context, c cluster.Change) error {
	for range 3 { // two masters in a row may write at the same time
		all, index, err := l.history(ctx)
		if err != nil {
			return err
		}
		all = append(all, c)
		data, err := json.Marshal(all[max(0, len(all)-maxHistoryChanges):])
		if err == nil {
			_, err = l.commit(ctx, &api.KVTxnOp{Verb: api.KVCAS, Key: historyKey(l.Key), Value: data, Index: index})
		}
		if !errors.Is(err, ErrChanged) {
			return err
		}
	}
	return ErrChanged
}
