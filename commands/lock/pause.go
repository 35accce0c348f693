package lock

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/hashicorp/consul/api"

	"resec/commands/cluster"
)

// Pause pauses the cluster, or replaces its pause. It returns ErrDenied if the token does not suffice, and any error of the
// call.
func (l Lock) Pause(ctx context.Context, p cluster.Pause) error {
	data, err := json.Marshal(p)
	if err == nil {
		_, err = l.commit(ctx, &api.KVTxnOp{Verb: api.KVSet, Key: pauseKey(l.Key), Value: data})
	}
	if err != nil {
		return fmt.Errorf("write the pause %s: %w", pauseKey(l.Key), err)
	}
	return nil
}

// Resume ends a pause; a cluster that is not paused is no error. It returns ErrDenied if the token does not suffice, and any
// error of the call.
func (l Lock) Resume(ctx context.Context) error {
	if _, err := l.commit(ctx, &api.KVTxnOp{Verb: api.KVDelete, Key: pauseKey(l.Key)}); err != nil {
		return fmt.Errorf("remove the pause %s: %w", pauseKey(l.Key), err)
	}
	return nil
}
