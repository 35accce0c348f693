package lock

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/consul/api"

	"resec/commands/cluster"
)

// Only a change of the lock's own keys counts, whatever other keys the prefix matches.
func TestOwnKeys(t *testing.T) {
	at := func(key string, index uint64) *api.KVPair { return &api.KVPair{Key: key, ModifyIndex: index} }
	own := ownKeys{key: "redis/1"}
	for _, tt := range []struct {
		name  string
		index uint64
		pairs api.KVPairs
		want  bool
	}{
		{"the first answer", 5, api.KVPairs{at("redis/1", 3), at("redis/1/state", 4)}, true},
		{"the same again", 5, api.KVPairs{at("redis/1", 3), at("redis/1/state", 4)}, false},
		{"another cluster with this prefix", 6,
			api.KVPairs{at("redis/1", 3), at("redis/1/state", 4), at("redis/10", 6), at("redis/10/state", 6)}, false},
		{"and its change", 7, api.KVPairs{at("redis/1", 3), at("redis/1/state", 4), at("redis/10", 7)}, false},
		{"a key of ours", 8, api.KVPairs{at("redis/1", 3), at("redis/1/state", 8), at("redis/10", 7)}, true},
		{"a new key", 9, api.KVPairs{at("redis/1", 3), at("redis/1/members/a", 9), at("redis/1/state", 8)}, true},
		{"a key that was deleted", 10, api.KVPairs{at("redis/1", 3), at("redis/1/state", 8)}, true},
		{"the session of a key", 10, api.KVPairs{{Key: "redis/1", ModifyIndex: 3, Session: "s"}, at("redis/1/state", 8)}, true},
		{"the lock's own key deleted", 11, api.KVPairs{at("redis/1/state", 8)}, true},
		{"a lower index", 10, api.KVPairs{at("redis/1/state", 8)}, true},
		{"the same lower index", 10, api.KVPairs{at("redis/1/state", 8)}, false},
		{"nothing", 12, nil, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := own.changed(tt.index, tt.pairs); got != tt.want {
				t.Errorf("changed is %t, want %t", got, tt.want)
			}
		})
	}
	own.forget()
	if !own.changed(12, nil) {
		t.Error("after an outage the same answer is not reported again")
	}
}

// The watch drops the writes of other clusters, and reports the same lock again after an outage.
func TestLock_Watch(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	own := `{"Key":"k","Session":"s","Value":"YQ==","Flags":3304740253564472344,"ModifyIndex":5}`
	queries := 0
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		queries++
		w.Header().Set("X-Consul-LastContact", "0")
		switch queries {
		case 1, 5:
			w.Header().Set("X-Consul-Index", "5")
			_, _ = fmt.Fprintf(w, `[%s]`, own)
		case 2, 3:
			w.Header().Set("X-Consul-Index", fmt.Sprint(4+queries))
			_, _ = fmt.Fprintf(w, `[%s,{"Key":"k2","ModifyIndex":%d}]`, own, 4+queries)
		case 4:
			http.Error(w, "no leader", http.StatusInternalServerError)
		default:
			<-r.Context().Done()
		}
	}))
	defer s.Close()
	client, err := api.NewClient(&api.Config{Address: s.URL})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	err = Lock{Client: client, Key: "k"}.Watch(ctx, func(v cluster.View) {
		got = append(got, fmt.Sprintf("%d held by %s", v.Index, v.Holder))
		if len(got) == 4 {
			cancel()
		}
	}, func(err error) { got = append(got, fmt.Sprint("outage: ", err != nil)) })
	if d := cmp.Diff([]string{"5 held by a", "outage: true", "outage: false", "5 held by a"}, got); d != "" || err != nil {
		t.Error(d, err)
	}
}

func TestParse_Errors(t *testing.T) {
	both := parse("k", 9,
		api.KVPairs{{Key: "k/state", Value: []byte(`{"master":{"id":"a"}}`)}, {Key: "k", Flags: Flag, ModifyIndex: 3}})
	if both.Err == nil || both.LockIndex != 3 {
		t.Errorf("a master without an address: %+v", both)
	}
	if v := parse("k", 9, api.KVPairs{{Key: "k/state", Value: []byte(`{"master":{"address":"a:1"}}`)}}); v.Err == nil {
		t.Error("a master without an id is none")
	}
	// A value that was set by hand over the lock of a cluster is still that cluster's lock.
	if v := parse("k", 9,
		api.KVPairs{{Key: "k", Value: []byte("x")}, {Key: "k/state", Value: []byte(`{}`), ModifyIndex: 8}}); errors.Is(v.Err,
		cluster.ErrConflict) {
		t.Error(v.Err)
	}
}
