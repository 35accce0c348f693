// Package lock is a lock in Consul and what stands beside it: sessions, the lease, the cluster's state.
package lock

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/hashicorp/consul/api"
)

// Flag marks a lock key, as Consul's own API marks it: `consul lock` refuses a key without it.
// Source: https://github.com/hashicorp/consul/blob/main/api/lock.go
const Flag uint64 = 0x2ddccbc058a50c18

var (
	// ErrConflict is returned for a key that is in use for something other than a lock.
	ErrConflict = errors.New("the lock key is in use, and not as a lock")
	// ErrForeign is returned for a state that belongs to another cluster.
	ErrForeign = errors.New("the state under the lock key is another cluster's")
	// ErrMoved is returned when a transaction found the lock or the state other than its writer knew it.
	ErrMoved = errors.New("the lock or the state has changed meanwhile")
	// ErrDenied is returned when the ACL token does not suffice; its text names the permission that is missing.
	ErrDenied = errors.New("consul denies it")
)

// View is the lock and the state as one read found them.
type View struct {
	Index      uint64 // of the read: 0 is no view at all
	LockIndex  uint64 // of the lock key's last change, 0 where there is no key
	Session    string // of the holder; empty: the lock is free
	Holder     string // the holder's id; of a foreign `consul lock` whatever it wrote
	State      State
	StateIndex uint64 // 0: there is no state yet
	Err        error  // ErrConflict, or a state that cannot be read
}

// Free tells whether nobody holds the lock.
func (v View) Free() bool { return v.Session == "" }

// Same tells whether the lock and the state are what they were.
func (v View) Same(o View) bool {
	return v.LockIndex == o.LockIndex && v.StateIndex == o.StateIndex && v.Session == o.Session && (v.Index == 0) == (o.Index == 0)
}

// Belongs returns ErrForeign where the state is that of a cluster with another master service.
func (v View) Belongs(service string) error {
	if s := v.State.Service; s != "" && s != service {
		return fmt.Errorf("%w: it names the service %q, ours is %q: two clusters need two CONSUL_LOCK_KEYs", ErrForeign, s, service)
	}
	return nil
}

// StateKey is where the state of the lock at key stands.
func StateKey(key string) string { return key + "/state" }

// Parse reads what a list of the keys below the lock's own gave.
func Parse(key string, index uint64, pairs api.KVPairs) View {
	v, odd := View{Index: index}, false
	for _, p := range pairs {
		switch p.Key {
		case key:
			odd = p.Flags != Flag
			v.LockIndex = p.ModifyIndex
			if v.Session = p.Session; v.Session != "" {
				v.Holder = string(p.Value)
			}
		case StateKey(key):
			v.StateIndex = p.ModifyIndex
			if err := json.Unmarshal(p.Value, &v.State); err != nil {
				v.Err = errors.Join(v.Err, fmt.Errorf("read the state at %s: %w", p.Key, err))
			}
		}
	}
	// Beside a state of ours an odd key is still our lock, on which somebody has run `consul kv put`.
	if odd && v.StateIndex == 0 {
		v.Err = fmt.Errorf("%w: %s", ErrConflict, key)
	}
	return v
}

// Lock is a key that one session at a time holds.
type Lock struct {
	Client *api.Client
	Key    string
	Member string // the id that is written into the lock
}

// Read looks once.
func (l Lock) Read(ctx context.Context) (View, error) {
	ctx, cancel := context.WithTimeout(ctx, CallTimeout)
	defer cancel()
	pairs, meta, err := l.Client.KV().List(l.Key, (&api.QueryOptions{RequireConsistent: true}).WithContext(ctx))
	if err != nil {
		return View{}, fmt.Errorf("read the lock %s: %w", l.Key, err)
	}
	return Parse(l.Key, meta.LastIndex, pairs), nil
}

// Acquire takes the lock, provided that the state is still the one of the view. It returns the view with the lock held.
// ErrMoved: the state is not, or the lock is held, or in a lock delay.
func (l Lock) Acquire(ctx context.Context, session string, v View) (View, error) {
	index, err := l.commit(ctx, unchanged(l.Key, v), l.lock(session))
	if err != nil {
		return v, fmt.Errorf("acquire the lock %s: %w", l.Key, err)
	}
	v.Index, v.LockIndex, v.Session, v.Holder = index, index, session, l.Member
	return v, nil
}

// Write replaces the state that the view shows, and returns the view with it. ErrMoved: somebody else wrote it, or the
// session does not hold the lock. After any other error the state may have been written.
func (l Lock) Write(ctx context.Context, session string, v View, s State) (View, error) {
	ops, err := l.write(session, v, s)
	var index uint64
	if err == nil { // the lock again: somebody may have overwritten its value
		index, err = l.commit(ctx, append(ops, l.lock(session))...)
	}
	if err != nil {
		return v, fmt.Errorf("write the state at %s: %w", StateKey(l.Key), err)
	}
	v.Index, v.LockIndex, v.StateIndex, v.State, v.Holder = index, index, index, s, l.Member
	return v, nil
}

// Release gives the lock back, and says why in the state if it is still the one that the view shows.
func (l Lock) Release(ctx context.Context, session string, v View, why string) error {
	unlock := &api.KVTxnOp{Verb: api.KVUnlock, Key: l.Key, Value: []byte(l.Member), Flags: Flag, Session: session}
	v.State.Why = why
	ops, err := l.write(session, v, v.State)
	if err == nil {
		_, err = l.commit(ctx, append(ops, unlock)...)
	}
	if errors.Is(err, ErrMoved) {
		_, err = l.commit(ctx, unlock)
	}
	if err != nil {
		return fmt.Errorf("release the lock %s: %w", l.Key, err)
	}
	return nil
}

// lock takes the lock, or holds it as it is.
func (l Lock) lock(session string) *api.KVTxnOp {
	return &api.KVTxnOp{Verb: api.KVLock, Key: l.Key, Value: []byte(l.Member), Flags: Flag, Session: session}
}

func (l Lock) write(session string, v View, s State) ([]*api.KVTxnOp, error) {
	data, err := json.Marshal(s)
	if err != nil {
		return nil, err
	}
	return []*api.KVTxnOp{
		{Verb: api.KVCheckSession, Key: l.Key, Session: session},
		{Verb: api.KVCAS, Key: StateKey(l.Key), Value: data, Index: v.StateIndex}, // index 0: only where there is none
	}, nil
}

func unchanged(key string, v View) *api.KVTxnOp {
	if v.StateIndex == 0 {
		return &api.KVTxnOp{Verb: api.KVCheckNotExists, Key: StateKey(key)}
	}
	return &api.KVTxnOp{Verb: api.KVCheckIndex, Key: StateKey(key), Index: v.StateIndex}
}

// commit runs one transaction: all of it, or nothing and ErrMoved. It returns the index at which it was.
func (l Lock) commit(ctx context.Context, ops ...*api.KVTxnOp) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, CallTimeout)
	defer cancel()
	txn := make(api.TxnOps, len(ops))
	for i, op := range ops {
		txn[i] = &api.TxnOp{KV: op}
	}
	ok, res, _, err := l.Client.Txn().Txn(txn, (&api.QueryOptions{}).WithContext(ctx))
	if err != nil {
		return 0, err
	}
	if ok {
		var index uint64
		for _, r := range res.Results {
			index = max(index, r.KV.ModifyIndex)
		}
		return index, nil
	}
	kind := ErrMoved
	var why []string
	for _, e := range res.Errors {
		if strings.Contains(e.What, "Permission denied") { // a transaction has no status of its own for it
			kind = ErrDenied
		}
		why = append(why, e.What)
	}
	return 0, fmt.Errorf("%w (%s)", kind, strings.Join(why, "; "))
}
