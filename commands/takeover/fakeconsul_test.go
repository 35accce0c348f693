package takeover

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"testing"

	"github.com/hashicorp/consul/api"

	"resec/commands/cluster"
)

// fakeConsul is the key-value store with one lock in it. It keeps no history.
type fakeConsul struct {
	log *journal

	mu    sync.Mutex
	kv    map[string]*api.KVPair
	index uint64
	down  bool
	onTxn func(*fakeConsul)
}

func startConsul(t *testing.T, log *journal) (*fakeConsul, *api.Client) {
	t.Helper()
	c := &fakeConsul{log: log, kv: map[string]*api.KVPair{}, index: 1}
	server := httptest.NewServer(c)
	t.Cleanup(server.Close)
	conf := api.DefaultConfig()
	conf.Address = server.URL
	client, err := api.NewClient(conf)
	if err != nil {
		t.Fatal(err)
	}
	return c, client
}

func (c *fakeConsul) put(key string, value []byte, session string, flags uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.index++
	c.kv[key] = &api.KVPair{Key: key, Value: value, Session: session, Flags: flags, ModifyIndex: c.index}
}

func (c *fakeConsul) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.down {
		http.Error(w, "No known Consul servers", http.StatusInternalServerError)
		return
	}
	w.Header().Set("X-Consul-Index", strconv.FormatUint(c.index, 10))
	if r.Method == http.MethodGet {
		c.log.add("consul: read")
		pairs := []*api.KVPair{}
		for _, p := range c.kv {
			pairs = append(pairs, p)
		}
		_ = json.NewEncoder(w).Encode(pairs)
		return
	}
	var ops []struct {
		KV struct {
			Verb, Key, Session string
			Value              []byte
			Index, Flags       uint64
		}
	}
	_ = json.NewDecoder(r.Body).Decode(&ops)
	var reply api.TxnResponse
	for i, op := range ops {
		p := c.kv[op.KV.Key]
		held := p != nil && p.Session == op.KV.Session
		if op.KV.Verb == "check-session" && !held || op.KV.Verb == "cas" && p != nil && p.ModifyIndex != op.KV.Index {
			reply.Errors = append(reply.Errors, &api.TxnError{OpIndex: i, What: "stale"})
		}
	}
	if len(reply.Errors) > 0 {
		w.WriteHeader(http.StatusConflict)
		_ = json.NewEncoder(w).Encode(reply)
		return
	}
	c.index++
	for _, op := range ops {
		p := &api.KVPair{Key: op.KV.Key, Value: op.KV.Value, Flags: op.KV.Flags, ModifyIndex: c.index}
		switch op.KV.Verb {
		case "check-session":
			continue
		case "lock":
			p.Session = op.KV.Session
		case "cas":
			c.log.add("consul: write %s", stateText(op.KV.Value))
		}
		c.kv[op.KV.Key] = p
		reply.Results = append(reply.Results, &api.TxnResult{KV: p})
	}
	if c.onTxn != nil {
		c.onTxn(c)
	}
	_ = json.NewEncoder(w).Encode(reply)
}

func stateText(data []byte) string {
	var s cluster.State
	_ = json.Unmarshal(data, &s)
	if s.Master == nil {
		return "no master"
	}
	return fmt.Sprintf("master %s term %d", s.Master.ID, s.Term())
}

func (c *fakeConsul) set(change func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change()
}
