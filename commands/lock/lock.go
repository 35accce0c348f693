// Package lock talks to Consul about one lock: it reads the lock and the keys below it, writes them in transactions, and keeps
// the session that holds the lock.
//
// It owns the session and its lease, and what LastKnownState remembers. Any goroutine may call a Lock. Keeper.Run and Lock.Watch
// run in a goroutine of their caller. Lock.CreateRequest starts one, which its end joins.
package lock

import (
	"context"
	"errors"
	"fmt"

	"github.com/hashicorp/consul/api"

	"resec/commands/cluster"
)

// Flag marks a lock key, as Consul's own API does: `consul lock` refuses a key without it.
// Source: https://github.com/hashicorp/consul/blob/main/api/lock.go
const Flag uint64 = 0x2ddccbc058a50c18

var (
	// ErrChanged is returned when a transaction found the lock or the state changed since the caller read it.
	ErrChanged = errors.New("the lock or the state has changed meanwhile")
	// ErrDenied is returned when the ACL token does not suffice; its text names the missing permission.
	ErrDenied = errors.New("consul denies it")
	// ErrNotHolder says that the lock is not ours, although an older view said so. Callers of this package return it; no function
	// of this package does.
	ErrNotHolder = errors.New("the lock is not ours")
)

// Lock is a key that one session at a time can hold. Each of its calls is bounded by package pace.
type Lock struct {
	Client    *api.Client
	Key       string
	Member    string          // the ID that is written into the key by its holder
	LastKnown *LastKnownState // nil: a state that vanishes from Consul is not remembered
}

// The keys below the lock's key.
func stateKey(key string) string      { return key + "/state" }
func memberKey(key, id string) string { return key + "/members/" + id }
func requestKey(key string) string    { return key + "/failover" }
func pauseKey(key string) string      { return key + "/pause" }
func historyKey(key string) string    { return key + "/history" }

// Acquire takes the lock and writes s. It returns the view with the lock held. It returns ErrChanged if the state is not the one
// in v, if the lock is held, or if it is in a lock delay. It returns ErrDenied if the token does not suffice. After any other
// error the lock may be held.
func (l Lock) Acquire(ctx context.Context, session string, v cluster.View, s cluster.State) (cluster.View, error) {
	cas, err := l.casOp(v, s)
	if err != nil {
		return v, fmt.Errorf("acquire the lock %s: %w", l.Key, err)
	}
	indexes, err := l.commit(ctx, append([]*api.KVTxnOp{cas, l.lockOp(session, l.Member)}, l.lostHistory()...)...)
	if err != nil {
		return v, fmt.Errorf("acquire the lock %s: %w", l.Key, err)
	}
	return l.afterWrite(v, indexes, session, l.Member, s), nil
}

// lostHistory is what writes the newest history back if Consul has lost it.
func (l Lock) lostHistory() []*api.KVTxnOp {
	if op := l.LastKnown.historyOp(historyKey(l.Key)); op != nil {
		return []*api.KVTxnOp{op}
	}
	return nil
}

// Write replaces the state in v, provided that the session holds the lock, and carries out further operations in the same
// transaction. It returns the view with the new state. It returns ErrChanged if the state is not the one in v, if the session
// does not hold the lock, or if a further operation fails. It returns ErrDenied if the token does not suffice. After any other
// error the state may have been written.
func (l Lock) Write(ctx context.Context, session string, v cluster.View, s cluster.State, more ...*api.TxnOp) (
	cluster.View, error) {
	cas, err := l.casOp(v, s)
	if err != nil {
		return v, fmt.Errorf("write the state at %s: %w", stateKey(l.Key), err)
	}
	// The lock's key is written again: its value may have been overwritten by hand.
	ops := []*api.KVTxnOp{l.heldOp(session), cas, l.lockOp(session, l.Member)}
	if v.FromLastKnown { // a holder whose lock Consul shows again leads without acquiring it
		ops = append(ops, l.lostHistory()...)
	}
	indexes, err := l.transact(ctx, append(kvOps(ops...), more...))
	if err != nil {
		return v, fmt.Errorf("write the state at %s: %w", stateKey(l.Key), err)
	}
	return l.afterWrite(v, indexes, session, l.Member, s), nil
}

// TxnIfHeld runs other operations in one transaction, provided that the session holds the lock. It returns ErrChanged if the
// session does not hold it or an operation fails, ErrDenied if the token does not suffice, and any error of the call.
func (l Lock) TxnIfHeld(ctx context.Context, session string, ops ...*api.TxnOp) error {
	_, err := l.transact(ctx, append(kvOps(l.heldOp(session)), ops...))
	return err
}

// Transfer hands the lock from our session to the session of another member, in one transaction: the lock is never free. It
// returns ErrChanged if the state is not the one in v, if our session does not hold the lock, or if the member's session has
// ended. It returns ErrDenied if the token does not suffice. After any other error the lock may have been transferred.
func (l Lock) Transfer(ctx context.Context, session string, v cluster.View, id string, s cluster.State) (cluster.View, error) {
	to := v.LiveAgents[id].Session
	cas, err := l.casOp(v, s)
	if err != nil {
		return v, fmt.Errorf("transfer the lock %s to %s: %w", l.Key, id, err)
	}
	indexes, err := l.commit(ctx, l.heldOp(session), cas, l.unlockOp(session), l.lockOp(to, id))
	if err != nil {
		return v, fmt.Errorf("transfer the lock %s to %s: %w", l.Key, id, err)
	}
	return l.afterWrite(v, indexes, to, id, s), nil
}

// Release gives up the lock, and writes why into the state unless that is no longer the one in v, or of a newer version. It
// returns ErrChanged if the session does not hold the lock, ErrDenied if the token does not suffice, and any error of the call.
func (l Lock) Release(ctx context.Context, session string, v cluster.View, why string) error {
	err := l.ReleaseWithReason(ctx, session, v, why)
	if !errors.Is(err, ErrChanged) && !errors.Is(err, cluster.ErrNewerVersion) {
		return err
	}
	if _, err = l.commit(ctx, l.unlockOp(session)); err != nil {
		return fmt.Errorf("release the lock %s: %w", l.Key, err)
	}
	return nil
}

// ReleaseWithReason gives up the lock, and writes why into the state. It returns ErrChanged, and has changed nothing, if the
// state is not the one in v or the session does not hold the lock. It returns ErrDenied if the token does not suffice, and any
// error of the call.
func (l Lock) ReleaseWithReason(ctx context.Context, session string, v cluster.View, why string) error {
	v.State.Why = why
	cas, err := l.casOp(v, v.State)
	if err == nil {
		_, err = l.commit(ctx, l.heldOp(session), cas, l.unlockOp(session))
	}
	if err != nil {
		return fmt.Errorf("release the lock %s: %w", l.Key, err)
	}
	return nil
}

// afterWrite returns the view after a transaction of ours wrote the lock and the state; indexes are those of the keys written.
func (l Lock) afterWrite(v cluster.View, indexes map[string]uint64, session, holder string, s cluster.State) cluster.View {
	v.LockIndex, v.StateIndex = indexes[l.Key], indexes[stateKey(l.Key)]
	v.Index = max(v.Index, v.LockIndex, v.StateIndex)
	v.Session, v.Holder, v.LastHolder, v.State = session, holder, holder, s
	v.FromLastKnown, v.WentBack, v.ConsulTerm, v.Err = false, false, 0, nil
	l.LastKnown.wrote(v)
	return v
}
