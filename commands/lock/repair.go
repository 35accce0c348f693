package lock

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/hashicorp/consul/api"

	"resec/commands/cluster"
)

// Holder names the member and the session that are to hold the lock.
type Holder struct{ Member, Session string }

// Repair writes back what Consul has lost: the state, the pause and the history that were seen last, which v has. In the same
// transaction it moves the lock from the session in v to another holder. A nil holder leaves the lock as it is. A holder without
// a session frees it. Repair returns the view with the lock and the state as they are then. It returns ErrChanged if lock or
// state are not as in v, or if the new holder's session has ended. It returns ErrDenied if the token does not suffice. After any
// other error the transaction may have been carried out.
func (l Lock) Repair(ctx context.Context, v cluster.View, to *Holder) (cluster.View, error) {
	if to == nil || to.Session == v.Session {
		to = &Holder{v.Holder, v.Session}
	}
	cas, err := l.casOp(v, v.State)
	if err != nil {
		return v, fmt.Errorf("write the state back at %s: %w", stateKey(l.Key), err)
	}
	ops := []*api.KVTxnOp{cas}
	if !v.Free() {
		ops = append(ops, l.heldOp(v.Session))
	}
	if to.Session != v.Session && !v.Free() {
		ops = append(ops, l.unlockOp(v.Session))
	}
	if to.Session != v.Session && to.Session != "" {
		ops = append(ops, l.lockOp(to.Session, to.Member))
	}
	pause, err := l.pauseOp(v)
	if err != nil {
		return v, err
	}
	if pause != nil {
		ops = append(ops, pause)
	}
	ops = append(ops, l.lostHistory()...)
	indexes, err := l.commit(ctx, ops...)
	if err != nil {
		return v, fmt.Errorf("write the state back at %s: %w", stateKey(l.Key), err)
	}
	if indexes[l.Key] == 0 { // the lock's key was not written
		indexes[l.Key] = v.LockIndex
	}
	after := l.afterWrite(v, indexes, to.Session, to.Member, v.State)
	after.PauseIndex = indexes[pauseKey(l.Key)]
	return after, nil
}

// pauseOp returns what makes the pause in Consul that of the view. It writes a pause again that Consul has already.
func (l Lock) pauseOp(v cluster.View) (*api.KVTxnOp, error) {
	if v.Pause == nil {
		if v.PauseIndex == 0 {
			return nil, nil
		}
		return &api.KVTxnOp{Verb: api.KVDeleteCAS, Key: pauseKey(l.Key), Index: v.PauseIndex}, nil
	}
	data, err := json.Marshal(v.Pause)
	if err != nil {
		return nil, fmt.Errorf("write the pause back at %s: %w", pauseKey(l.Key), err)
	}
	return &api.KVTxnOp{Verb: api.KVCAS, Key: pauseKey(l.Key), Value: data, Index: v.PauseIndex}, nil
}
