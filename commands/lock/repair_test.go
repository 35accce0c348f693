package lock

import (
	"strings"
	"testing"

	"github.com/hashicorp/consul/api"

	"resec/commands/cluster"
)

// A repair writes state, lock, pause and history in one transaction.
func TestRepair(t *testing.T) {
	held := list(api.KVPair{Key: "k", Flags: Flag, Session: "s2", Value: []byte("b"), ModifyIndex: 5},
		api.KVPair{Key: "k/state", Value: []byte(`{"service":"s","master":{"id":"b","address":"b:1","term":1}}`), ModifyIndex: 8},
		api.KVPair{Key: "k/pause", Value: []byte(`{"until":"2026-01-01T00:00:00Z","since":"2025-01-01T00:00:00Z"}`), ModifyIndex: 4},
		api.KVPair{Key: "k/history", Value: []byte(`[1]`), ModifyIndex: 6})
	newest := list(api.KVPair{Key: "k", Flags: Flag, Session: "s1", Value: []byte("a"), ModifyIndex: 25},
		api.KVPair{Key: "k/state", Value: []byte(`{"service":"s","master":{"id":"a","address":"a:1","term":3}}`), ModifyIndex: 28},
		api.KVPair{Key: "k/history", Value: []byte(`[1,2,3]`), ModifyIndex: 26})
	free := strings.Replace(held, `"Session":"s2"`, `"Session":""`, 1)
	const back = "delete-cas k/pause 4, cas k/history 6"
	for _, tt := range []struct {
		name  string
		shown string
		to    *Holder
		call  string
		holds string
	}{
		{"the lock moves", held, &Holder{"a", "s1"}, "cas k/state 8, check-session k, unlock k, lock k, " + back, "s1"},
		{"the lock is freed", held, &Holder{}, "cas k/state 8, check-session k, unlock k, " + back, ""},
		{"the lock stays", held, nil, "cas k/state 8, check-session k, " + back, "s2"},
		{"the lock stays with its holder", held, &Holder{"b", "s2"}, "cas k/state 8, check-session k, " + back, "s2"},
		{"a free lock is taken", free, &Holder{"a", "s1"}, "cas k/state 8, lock k, " + back, "s1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l, c := fake(t, scripted(newest, tt.shown, committed))
			l.LastKnown = &LastKnownState{}
			_, err := l.Read(t.Context())
			v, err2 := l.Read(t.Context())
			if err != nil || err2 != nil || !v.WentBack || v.State.Term() != 3 || v.ConsulTerm != 1 || v.Pause != nil {
				t.Fatalf("%+v %v %v", v, err, err2)
			}
			after, err := l.Repair(t.Context(), v, tt.to)
			if err != nil || after.WentBack || after.FromLastKnown || after.Session != tt.holds || after.State.Term() != 3 {
				t.Errorf("%+v %v", after, err)
			}
			c.expect(t, "GET kv/k", "GET kv/k", "PUT txn: "+tt.call)
		})
	}
}

// Whoever acquires a lock that Consul shows as it was before writes the newest history back, too. So does a holder that leads
// because Consul shows its lock again.
func TestAcquire_WritesTheHistoryBack(t *testing.T) {
	newest := list(api.KVPair{Key: "k", Flags: Flag, Session: "s1", Value: []byte("a"), ModifyIndex: 25},
		api.KVPair{Key: "k/state", Value: []byte(`{"service":"s","master":{"id":"a","address":"a:1","term":3}}`), ModifyIndex: 28},
		api.KVPair{Key: "k/history", Value: []byte(`[1,2,3]`), ModifyIndex: 26})
	shown := list(api.KVPair{Key: "k", Flags: Flag, ModifyIndex: 5},
		api.KVPair{Key: "k/state", Value: []byte(`{"service":"s","master":{"id":"b","address":"b:1","term":1}}`), ModifyIndex: 8},
		api.KVPair{Key: "k/history", Value: []byte(`[1]`), ModifyIndex: 6})
	for _, tt := range []struct {
		name  string
		write func(Lock, cluster.View) (cluster.View, error)
		call  string
	}{
		{"acquired", func(l Lock, v cluster.View) (cluster.View, error) { return l.Acquire(t.Context(), "s2", v, v.State) },
			"PUT txn: cas k/state 8, lock k, cas k/history 6"},
		{"held", func(l Lock, v cluster.View) (cluster.View, error) { return l.Write(t.Context(), "s2", v, v.State) },
			"PUT txn: check-session k, cas k/state 8, lock k, cas k/history 6"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l, c := fake(t, scripted(newest, shown, committed))
			l.LastKnown = &LastKnownState{}
			if _, err := l.Read(t.Context()); err != nil {
				t.Fatal(err)
			}
			v, err := l.Read(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if _, err := tt.write(l, v); err != nil {
				t.Error(err)
			}
			c.expect(t, "GET kv/k", "GET kv/k", tt.call)
		})
	}
}
