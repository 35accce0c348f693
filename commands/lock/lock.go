// Package lock is a lock in Consul and what stands beside it: sessions, the lease, the cluster's state.
package lock

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/hashicorp/consul/api"

	"resec/commands/cluster"
)

// Flag marks a lock key, as Consul's own API marks it: `consul lock` refuses a key without it.
// Source: https://github.com/hashicorp/consul/blob/main/api/lock.go
const Flag uint64 = 0x2ddccbc058a50c18

var (
	// ErrChanged is returned when a transaction found the lock or the state other than its writer knew it.
	ErrChanged = errors.New("the lock or the state has changed meanwhile")
	// ErrDenied is returned when the ACL token does not suffice; its text names the permission that is missing.
	ErrDenied = errors.New("consul denies it")
)

// Lock is a key that one session at a time holds.
type Lock struct {
	Client    *api.Client
	Key       string
	Member    string // the id that is written into the lock
	LastKnown *LastKnownState
}

// Read looks once.
func (l Lock) Read(ctx context.Context) (cluster.View, error) {
	ctx, cancel := context.WithTimeout(ctx, CallTimeout)
	defer cancel()
	pairs, meta, err := l.Client.KV().List(l.Key, (&api.QueryOptions{RequireConsistent: true}).WithContext(ctx))
	if err != nil {
		return cluster.View{}, fmt.Errorf("read the lock %s: %w", l.Key, err)
	}
	if meta.ResultsFilteredByACLs && len(pairs) == 0 { // it may be another's key that begins so
		if _, _, err := l.Client.KV().Get(l.Key, (&api.QueryOptions{}).WithContext(ctx)); err != nil {
			return cluster.View{}, fmt.Errorf("read the lock %s: %w", l.Key, err)
		}
	}
	return l.Parse(meta.LastIndex, pairs), nil
}

// Parse is the package's Parse of the lock's own key, with the state as it is remembered.
func (l Lock) Parse(index uint64, pairs api.KVPairs) cluster.View {
	return l.LastKnown.Fill(Parse(l.Key, index, pairs))
}

// Acquire takes the lock and writes s, provided that the state is still the one of the view. It returns the view with
// the lock held. ErrMoved: the state is not, or the lock is held, or in a lock delay.
func (l Lock) Acquire(ctx context.Context, session string, v cluster.View, s cluster.State) (cluster.View, error) {
	cas, err := l.cas(v, s)
	var at map[string]uint64
	if err == nil {
		at, err = l.commit(ctx, cas, l.lock(session, l.Member))
	}
	if err != nil {
		return v, fmt.Errorf("acquire the lock %s: %w", l.Key, err)
	}
	return l.after(v, at, session, l.Member, s), nil
}

// after is the view once a transaction of ours has written lock and state.
func (l Lock) after(v cluster.View, at map[string]uint64, session, holder string, s cluster.State) cluster.View {
	v.LockIndex, v.StateIndex, v.Session, v.Holder, v.State, v.FromLastKnown = at[l.Key], at[StateKey(l.Key)], session, holder, s, false
	v.Index, v.Err = max(v.Index, v.LockIndex, v.StateIndex), nil
	return l.LastKnown.Fill(v)
}

// Write replaces the state that the view shows, and returns the view with it. ErrMoved: somebody else wrote it, or the
// session does not hold the lock. After any other error the state may have been written.
func (l Lock) Write(ctx context.Context, session string, v cluster.View, s cluster.State) (cluster.View, error) {
	return l.write(ctx, session, v, s)
}

// TxnIfHeld does something else in Consul, if the session holds the lock.
func (l Lock) TxnIfHeld(ctx context.Context, session string, ops ...*api.TxnOp) error {
	_, err := l.transact(ctx, append(txn(l.held(session)), ops...))
	return err
}

func (l Lock) write(ctx context.Context, session string, v cluster.View, s cluster.State, more ...*api.TxnOp) (cluster.View, error) {
	cas, err := l.cas(v, s)
	var at map[string]uint64
	if err == nil { // the lock again: somebody may have overwritten its value
		at, err = l.transact(ctx, append(txn(l.held(session), cas, l.lock(session, l.Member)), more...))
	}
	if err != nil {
		return v, fmt.Errorf("write the state at %s: %w", StateKey(l.Key), err)
	}
	return l.after(v, at, session, l.Member, s), nil
}

// Transfer hands the lock from our session to another member's in one transaction: at no time is it free. ErrMoved: the
// state is another by now, we hold the lock no longer, or that session is gone.
func (l Lock) Transfer(ctx context.Context, session string, v cluster.View, id string, s cluster.State) (cluster.View, error) {
	to := v.LiveAgents[id].Session
	cas, err := l.cas(v, s)
	var at map[string]uint64
	if err == nil {
		at, err = l.commit(ctx, l.held(session), cas, l.unlock(session), l.lock(to, id))
	}
	if err != nil {
		return v, fmt.Errorf("pass the lock %s to %s: %w", l.Key, id, err)
	}
	return l.after(v, at, to, id, s), nil
}

// Release releases the lock, and writes why into the state if that is still the one that the view shows. A state of a newer
// version is left alone.
func (l Lock) Release(ctx context.Context, session string, v cluster.View, why string) error {
	err := l.ReleaseWithReason(ctx, session, v, why)
	if errors.Is(err, ErrChanged) || errors.Is(err, cluster.ErrNewerVersion) {
		if _, err = l.commit(ctx, l.unlock(session)); err != nil {
			err = fmt.Errorf("release the lock %s: %w", l.Key, err)
		}
	}
	return err
}

// ReleaseWithReason gives the lock back, and says why in the state. ErrMoved: the state is not the one that the view shows, or the lock is not
// ours; nothing has changed.
func (l Lock) ReleaseWithReason(ctx context.Context, session string, v cluster.View, why string) error {
	v.State.Why = why
	cas, err := l.cas(v, v.State)
	if err == nil {
		_, err = l.commit(ctx, l.held(session), cas, l.unlock(session))
	}
	if err != nil {
		return fmt.Errorf("release the lock %s: %w", l.Key, err)
	}
	return nil
}

// PutMember says that this member is here, for as long as its session lives.
func (l Lock) PutMember(ctx context.Context, p cluster.MemberKey) error {
	data, err := json.Marshal(p)
	if err == nil {
		_, err = l.commit(ctx, &api.KVTxnOp{Verb: api.KVLock, Key: memberKey(l.Key, l.Member), Value: data, Session: p.Session})
	}
	if err != nil {
		return fmt.Errorf("write the member's key %s: %w", memberKey(l.Key, l.Member), err)
	}
	return nil
}

// DeleteMember removes a member's key.
func (l Lock) DeleteMember(ctx context.Context, id string) error {
	if _, err := l.commit(ctx, &api.KVTxnOp{Verb: api.KVDelete, Key: memberKey(l.Key, id)}); err != nil {
		return fmt.Errorf("remove the member's key %s: %w", memberKey(l.Key, id), err)
	}
	return nil
}

// lock takes the lock for a session, or leaves it with that.
func (l Lock) lock(session, id string) *api.KVTxnOp {
	return &api.KVTxnOp{Verb: api.KVLock, Key: l.Key, Value: []byte(id), Flags: Flag, Session: session}
}

func (l Lock) unlock(session string) *api.KVTxnOp {
	return &api.KVTxnOp{Verb: api.KVUnlock, Key: l.Key, Value: []byte(l.Member), Flags: Flag, Session: session}
}

// held checks that the session holds the lock.
func (l Lock) held(session string) *api.KVTxnOp {
	return &api.KVTxnOp{Verb: api.KVCheckSession, Key: l.Key, Session: session}
}

// cas returns the operation that replaces the state that the view shows; if it shows none, there must be none. It returns
// cluster.ErrNewerVersion if the view shows a state of a newer version: no write of this program may replace that.
func (l Lock) cas(v cluster.View, s cluster.State) (*api.KVTxnOp, error) {
	if errors.Is(v.Err, cluster.ErrNewerVersion) {
		return nil, v.Err
	}
	data, err := json.Marshal(s)
	if err != nil {
		return nil, err
	}
	return &api.KVTxnOp{Verb: api.KVCAS, Key: StateKey(l.Key), Value: data, Index: v.StateIndex}, nil
}

// commit runs one transaction: all of it, or nothing and ErrMoved. It returns each key's index: Consul leaves that as it
// is where a write changes nothing.
func (l Lock) commit(ctx context.Context, ops ...*api.KVTxnOp) (map[string]uint64, error) {
	return l.transact(ctx, txn(ops...))
}

func txn(ops ...*api.KVTxnOp) (out api.TxnOps) {
	for _, op := range ops {
		out = append(out, &api.TxnOp{KV: op})
	}
	return out
}

func (l Lock) transact(ctx context.Context, ops api.TxnOps) (map[string]uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, CallTimeout)
	defer cancel()
	ok, res, _, err := l.Client.Txn().Txn(ops, (&api.QueryOptions{}).WithContext(ctx))
	if err != nil {
		return nil, err
	}
	if ok {
		at := map[string]uint64{}
		for _, r := range res.Results {
			if r.KV != nil {
				at[r.KV.Key] = r.KV.ModifyIndex
			}
		}
		return at, nil
	}
	kind := ErrChanged
	var why []string
	for _, e := range res.Errors {
		if strings.Contains(e.What, "Permission denied") { // a transaction has no status of its own for it
			kind = ErrDenied
		}
		why = append(why, e.What)
	}
	return nil, fmt.Errorf("%w (%s)", kind, strings.Join(why, "; "))
}
