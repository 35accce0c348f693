package lock

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/hashicorp/consul/api"
)

// fakeConsul answers the calls of a client without a network, and records them: "GET kv/k", "PUT txn: cas k/state 8, lock k".
type fakeConsul struct {
	mu     sync.Mutex // held during an answer
	calls  []string
	body   string                                           // of the last session that was created
	answer func(call string, n int) (code int, body string) // n counts the calls from 1; code 0: the connection breaks
}

func (c *fakeConsul) RoundTrip(r *http.Request) (*http.Response, error) {
	call := r.Method + " " + strings.TrimPrefix(r.URL.Path, "/v1/")
	if r.URL.Path == "/v1/txn" {
		call += ": " + operations(r.Body)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if r.URL.Path == "/v1/session/create" {
		data, _ := io.ReadAll(r.Body)
		c.body = strings.TrimSpace(string(data))
	}
	c.calls = append(c.calls, call)
	code, body := c.answer(call, len(c.calls))
	if code == 0 {
		return nil, errors.New("connection reset")
	}
	header := http.Header{}
	header.Set("X-Consul-Index", "9")
	header.Set("X-Consul-LastContact", "0")
	header.Set("X-Consul-Results-Filtered-By-ACLs", fmt.Sprint(body == "filtered"))
	if body == "filtered" {
		body = "[]"
	}
	return &http.Response{StatusCode: code, Header: header, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
}

// operations renders the operations of a transaction.
func operations(body io.Reader) string {
	var ops []struct {
		KV *struct {
			Verb, Key string
			Index     uint64
		}
		Service *struct{ Verb string }
	}
	if err := json.NewDecoder(body).Decode(&ops); err != nil {
		return err.Error()
	}
	out := make([]string, 0, len(ops))
	for _, op := range ops {
		if op.KV == nil {
			out = append(out, "service "+op.Service.Verb)
			continue
		}
		text := op.KV.Verb + " " + op.KV.Key
		if op.KV.Index != 0 {
			text += fmt.Sprint(" ", op.KV.Index)
		}
		out = append(out, text)
	}
	return strings.Join(out, ", ")
}

// fake returns the lock "k" of member "a" on a fake Consul.
func fake(t *testing.T, answer func(call string, n int) (code int, body string)) (Lock, *fakeConsul) {
	t.Helper()
	c := &fakeConsul{answer: answer}
	client, err := api.NewClient(&api.Config{Address: "http://consul", HttpClient: &http.Client{Transport: c}})
	if err != nil {
		t.Fatal(err)
	}
	return Lock{Client: client, Key: "k", Member: "a"}, c
}

// scripted answers one call after the other.
func scripted(answers ...any) func(string, int) (int, string) {
	return func(_ string, n int) (int, string) {
		if n > len(answers) {
			return http.StatusTeapot, "not scripted"
		}
		switch a := answers[n-1].(type) {
		case int:
			return a, ""
		case string:
			return http.StatusOK, a
		}
		return 0, ""
	}
}

// What Consul answers.
const (
	committed  = `{"Results":[{"KV":{"Key":"k","ModifyIndex":11}},{"KV":{"Key":"k/state","ModifyIndex":12}},{"Service":{"ID":"x"}}]}`
	rolledBack = `{"Errors":[{"OpIndex":0,"What":"current modify index is 9"},{"OpIndex":1,"What":"lock is held"}]}`
	denied     = `{"Errors":[{"OpIndex":0,"What":"Permission denied: token lacks permission 'key:write'"}]}`
)

// conflicting is the status of a transaction that was rolled back.
func conflicting(body string) func(string, int) (int, string) {
	return func(string, int) (int, string) { return http.StatusConflict, body }
}

// list is an answer to a read of the lock's keys.
func list(pairs ...api.KVPair) string {
	type pair struct {
		Key, Session string
		Value        []byte
		Flags        uint64
		ModifyIndex  uint64
	}
	out := []pair{}
	for _, p := range pairs {
		out = append(out, pair{p.Key, p.Session, p.Value, p.Flags, p.ModifyIndex})
	}
	data, _ := json.Marshal(out)
	return string(data)
}

// count is the number of calls by now.
func (c *fakeConsul) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.calls)
}

func (c *fakeConsul) expect(t *testing.T, want ...string) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	if !slices.Equal(c.calls, want) {
		t.Errorf("the calls are\n  %s\nwant\n  %s", strings.Join(c.calls, "\n  "), strings.Join(want, "\n  "))
	}
}
