package lock

import (
	"context"
	"slices"
	"strings"

	"github.com/hashicorp/consul/api"

	"resec/commands/cluster"
	"resec/commands/watch"
)

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
