package lock

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/hashicorp/consul/api"

	"resec/commands/cluster"
)

// PutMember writes this member's key under its session. When the session ends the key stays, without a session: no agent of the
// member is alive. It returns ErrChanged if the session has ended or another session holds the key, ErrDenied if the token does
// not suffice, and any error of the call.
func (l Lock) PutMember(ctx context.Context, m cluster.MemberKey) error {
	key := memberKey(l.Key, l.Member)
	data, err := json.Marshal(m)
	if err == nil {
		_, err = l.commit(ctx, &api.KVTxnOp{Verb: api.KVLock, Key: key, Value: data, Session: m.Session})
	}
	if err != nil {
		return fmt.Errorf("write the member's key %s: %w", key, err)
	}
	return nil
}

// DeleteMember removes a member's key; a key that does not exist is no error. It returns ErrDenied if the token does not
// suffice, and any error of the call.
func (l Lock) DeleteMember(ctx context.Context, id string) error {
	key := memberKey(l.Key, id)
	if _, err := l.commit(ctx, &api.KVTxnOp{Verb: api.KVDelete, Key: key}); err != nil {
		return fmt.Errorf("remove the member's key %s: %w", key, err)
	}
	return nil
}
