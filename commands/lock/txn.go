package lock

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/hashicorp/consul/api"

	"resec/commands/cluster"
	"resec/commands/pace"
)

// lockOp takes the lock for a session. It changes nothing but the value if the session holds the lock already.
func (l Lock) lockOp(session, id string) *api.KVTxnOp {
	return &api.KVTxnOp{Verb: api.KVLock, Key: l.Key, Value: []byte(id), Flags: Flag, Session: session}
}

func (l Lock) unlockOp(session string) *api.KVTxnOp {
	return &api.KVTxnOp{Verb: api.KVUnlock, Key: l.Key, Value: []byte(l.Member), Flags: Flag, Session: session}
}

// heldOp fails the transaction unless the session holds the lock.
func (l Lock) heldOp(session string) *api.KVTxnOp {
	return &api.KVTxnOp{Verb: api.KVCheckSession, Key: l.Key, Session: session}
}

// casOp replaces the state in v. If v has none, it fails the transaction unless there is none.
func (l Lock) casOp(v cluster.View, s cluster.State) (*api.KVTxnOp, error) {
	if errors.Is(v.Err, cluster.ErrNewerVersion) { // no write of this program may replace it
		return nil, v.Err
	}
	data, err := json.Marshal(s)
	if err != nil {
		return nil, err
	}
	return &api.KVTxnOp{Verb: api.KVCAS, Key: stateKey(l.Key), Value: data, Index: v.StateIndex}, nil
}

// commit runs key operations in one transaction; see transact.
func (l Lock) commit(ctx context.Context, ops ...*api.KVTxnOp) (indexes map[string]uint64, err error) {
	return l.transact(ctx, kvOps(ops...))
}

func kvOps(ops ...*api.KVTxnOp) (out api.TxnOps) {
	for _, op := range ops {
		out = append(out, &api.TxnOp{KV: op})
	}
	return out
}

// transact runs one transaction: all operations or none. It returns each written key's ModifyIndex, which Consul keeps if the
// write changed nothing. It returns ErrChanged if Consul rolled the transaction back, ErrDenied if an ACL did.
func (l Lock) transact(ctx context.Context, ops api.TxnOps) (indexes map[string]uint64, err error) {
	ctx, end := pace.Begin(ctx)
	ok, res, _, err := l.Client.Txn().Txn(ops, (&api.QueryOptions{}).WithContext(ctx))
	if end(err); err != nil {
		return nil, err
	}
	if !ok {
		return nil, rollbackError(res.Errors)
	}
	indexes = map[string]uint64{}
	for _, r := range res.Results {
		if r.KV != nil {
			indexes[r.KV.Key] = r.KV.ModifyIndex
		}
	}
	return indexes, nil
}

// rollbackError returns why Consul rolled a transaction back. Consul has no status code of its own for a missing permission
// in a transaction, only the text.
func rollbackError(errors api.TxnErrors) error {
	kind, texts := ErrChanged, make([]string, 0, len(errors))
	for _, e := range errors {
		if strings.Contains(e.What, "Permission denied") {
			kind = ErrDenied
		}
		texts = append(texts, e.What)
	}
	return fmt.Errorf("%w (%s)", kind, strings.Join(texts, "; "))
}
