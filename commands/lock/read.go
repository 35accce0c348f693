package lock

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/consul/api"

	"resec/commands/cluster"
	"resec/commands/pace"
	"resec/commands/watch"
)

// Read reads the lock and all keys below it with one consistent query. It returns an error if Consul does not answer, or if
// the token cannot read the lock's key.
func (l Lock) Read(ctx context.Context) (v cluster.View, err error) {
	ctx, end := pace.Begin(ctx)
	defer func() { end(err) }()
	pairs, meta, err := l.Client.KV().List(l.Key, (&api.QueryOptions{RequireConsistent: true}).WithContext(ctx))
	if err != nil {
		return cluster.View{}, fmt.Errorf("read the lock %s: %w", l.Key, err)
	}
	if meta.ResultsFilteredByACLs && len(pairs) == 0 { // hidden keys may belong to another key with this prefix
		if _, _, err := l.Client.KV().Get(l.Key, (&api.QueryOptions{}).WithContext(ctx)); err != nil {
			return cluster.View{}, fmt.Errorf("read the lock %s: %w", l.Key, err)
		}
	}
	return l.Parse(meta.LastIndex, pairs), nil
}

// Parse reads a list of the lock's key and the keys below it. It fills in what was seen last if the list lacks it, or has
// something older.
func (l Lock) Parse(index uint64, pairs api.KVPairs) cluster.View {
	l.LastKnown.readHistory(historyKey(l.Key), pairs)
	return l.LastKnown.fill(parse(l.Key, index, pairs))
}

// Watch reports each change of the lock and the keys below it until the context ends, one at a time. After an outage of Consul it
// reports again, changed or not. outage gets the error when Consul does not answer any more, and nil when it does again. Watch
// returns an error only for parameters that Consul's watch rejects.
//
// Consul can watch one key or one prefix. Two watches, of the key and of the folder below it, could report a lock and a state
// that never existed together. So one watch has the key as its prefix. It also matches the keys of other clusters: the prefix
// redis/1 matches redis/10. Their changes wake the watch, and are dropped before anything is parsed.
func (l Lock) Watch(ctx context.Context, report func(cluster.View), outage func(error)) error {
	last := ownKeys{key: l.Key}
	params := map[string]any{"type": "keyprefix", "prefix": l.Key}
	return watch.Run(ctx, l.Client, params, func(index uint64, answer any) {
		pairs, _ := answer.(api.KVPairs)
		if last.changed(index, pairs) {
			report(l.Parse(index, pairs))
		}
	}, func(err error) {
		last.forget()
		outage(err)
	})
}

// ownKeys are the keys of one lock in the last answer of its watch, and their ModifyIndexes.
type ownKeys struct {
	key      string
	known    bool
	index    uint64 // of the answer
	versions []keyVersion
}

type keyVersion struct {
	key     string
	index   uint64 // ModifyIndex
	session string
}

// forget makes the next answer a change.
func (o *ownKeys) forget() { o.known = false }

// changed takes in an answer, and reports whether it differs in the lock's own keys. An answer with a lower index than the last
// one counts as different: Consul may have lost its data since.
func (o *ownKeys) changed(index uint64, pairs api.KVPairs) bool {
	var versions []keyVersion
	for _, p := range pairs {
		if p.Key == o.key || strings.HasPrefix(p.Key, o.key+"/") {
			versions = append(versions, keyVersion{p.Key, p.ModifyIndex, p.Session})
		}
	}
	same := o.known && index >= o.index && slices.Equal(versions, o.versions)
	o.known, o.index, o.versions = true, index, versions
	return !same
}

// parse reads a list of the lock's key and the keys below it. Other keys are ignored.
func parse(key string, index uint64, pairs api.KVPairs) cluster.View {
	v, notALock := cluster.View{Index: index}, false
	for _, p := range pairs {
		switch p.Key {
		case key:
			notALock = p.Flags != Flag
			v.LockIndex, v.Session, v.LastHolder = p.ModifyIndex, p.Session, string(p.Value)
			if v.Session != "" {
				v.Holder = v.LastHolder
			}
		case stateKey(key):
			v.StateIndex = p.ModifyIndex
			v.Err = errors.Join(v.Err, parseState(&v.State, p))
		case requestKey(key):
			v.Request, v.Answered = parseRequest(p)
		case pauseKey(key):
			if v.Pause = parsePause(p.Value); v.Pause != nil {
				v.PauseIndex = p.ModifyIndex
			}
		default:
			parseMember(&v, key, p)
		}
	}
	// With a state of ours below it, a key without the flag is still our lock: its value was set with `consul kv put`.
	if notALock && v.StateIndex == 0 {
		v.Err = fmt.Errorf("%w: %s", cluster.ErrConflict, key)
	}
	return v
}

// parseState reads the state. It returns an error for a state that is no JSON or names an incomplete master.
func parseState(s *cluster.State, p *api.KVPair) error {
	if err := json.Unmarshal(p.Value, s); err != nil {
		return fmt.Errorf("read the state at %s: %w", p.Key, err)
	}
	if m := s.Master; m != nil && (m.ID == "" || m.Address == "") {
		return fmt.Errorf("read the state at %s: its master has no id or no address", p.Key)
	}
	return nil
}

// parseMember adds a member's key to the view. It ignores any other key, and a member's key that is no JSON.
func parseMember(v *cluster.View, key string, p *api.KVPair) {
	id, below := strings.CutPrefix(p.Key, memberKey(key, ""))
	m := cluster.MemberKey{Session: p.Session}
	if !below || id == "" || json.Unmarshal(p.Value, &m) != nil {
		return
	}
	if v.LiveAgents == nil {
		v.LiveAgents = map[string]cluster.MemberKey{}
	}
	v.LiveAgents[id] = m
}

// parseRequest reads an operator's request: an open one, or one with an answer. It returns neither for a request whose session
// has ended, and for a forced one without a target.
func parseRequest(p *api.KVPair) (open, answered *cluster.Request) {
	if p.Session == "" {
		return nil, nil
	}
	r := &cluster.Request{}
	if json.Unmarshal(p.Value, r) != nil || r.To == "" && !r.Planned {
		return nil, nil
	}
	r.Session, r.Index = p.Session, p.ModifyIndex
	if r.Answer != "" {
		return nil, r
	}
	return r, nil
}

// parsePause reads a pause. It returns nil for a value that is no JSON.
func parsePause(value []byte) *cluster.Pause {
	p := &cluster.Pause{}
	if json.Unmarshal(value, p) != nil {
		return nil
	}
	return p
}
