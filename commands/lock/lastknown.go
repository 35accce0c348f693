package lock

import (
	"context"
	"sync"

	"github.com/hashicorp/consul/api"

	"resec/commands/cluster"
)

// LastKnownState remembers the newest that this process has seen of the keys below the lock. If a state vanishes, cannot be read
// any more or is an older one, it was changed by hand, or Consul has lost its data. The master that was seen last still accepts
// writes, with the same guard. Without this memory the members would take the cluster for one that never had a master, or had
// another one. A nil LastKnownState remembers nothing.
type LastKnownState struct {
	mu      sync.Mutex
	seen    cluster.LastSeen
	history historyVersions
}

// Forget makes it believe what Consul shows next.
func (m *LastKnownState) Forget() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.seen, m.history = cluster.LastSeen{}, historyVersions{}
}

// historyVersions are the newest history of masters that was seen, and the index of the one that Consul has.
type historyVersions struct {
	newest      []byte
	newestIndex uint64
	nowIndex    uint64 // ModifyIndex of the key in Consul; 0: there is no key
}

// fill takes in a view that was read. It puts what was seen last into a view in which that is missing, damaged or older. The next
// holder of the lock, or a repair, writes it back.
func (m *LastKnownState) fill(v cluster.View) cluster.View {
	if m == nil {
		return v
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	var now cluster.LastSeen
	now, v = m.seen.Read(v)
	m.see(now)
	return v
}

// see takes in what is seen last by now. No history was seen under the indexes that have begun anew. The caller holds mu.
func (m *LastKnownState) see(now cluster.LastSeen) {
	if now.Renewals != m.seen.Renewals {
		m.history.newestIndex = 0
	}
	m.seen = now
}

// wrote takes in a view that a write of ours returned.
func (m *LastKnownState) wrote(v cluster.View) {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.see(m.seen.Wrote(v))
}

// Believe takes in the state that Consul shows instead of the newer one that was seen, and returns the view with it. It returns
// ErrChanged unless that state is of the same term and run as in the view before, and the lock is held by its master.
func (l Lock) Believe(ctx context.Context, before cluster.View) (cluster.View, error) {
	raw := l
	raw.LastKnown = nil
	v, err := raw.Read(ctx)
	if err != nil {
		return v, err
	}
	was, is := before.State.Master, v.State.Master
	same := v.Err == nil && was != nil && is != nil && was.Term == is.Term && was.RunID == is.RunID
	if !same || v.Free() || v.Holder != is.ID {
		return v, ErrChanged
	}
	l.LastKnown.wrote(v)
	return v, nil
}

// readHistory takes in the history of masters, among the keys that were read.
func (m *LastKnownState) readHistory(key string, pairs api.KVPairs) {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.history.nowIndex = 0
	for _, p := range pairs {
		if p.Key != key {
			continue
		}
		m.history.nowIndex = p.ModifyIndex
		if p.ModifyIndex >= m.history.newestIndex {
			m.history.newest, m.history.newestIndex = p.Value, p.ModifyIndex
		}
	}
}

// historyOp returns what writes the newest history back; nil: Consul has it, or none was seen.
func (m *LastKnownState) historyOp(key string) *api.KVTxnOp {
	if m == nil {
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if h := m.history; h.newest != nil && h.nowIndex < h.newestIndex {
		return &api.KVTxnOp{Verb: api.KVCAS, Key: key, Value: h.newest, Index: h.nowIndex}
	}
	return nil
}
