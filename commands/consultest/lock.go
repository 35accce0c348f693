package consultest

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"

	"resec/commands/cluster"
	"resec/commands/lock"
	"resec/commands/pace"
	"resec/handlers"
)

// locks counts them, so that each test has a lock of its own even if it is run twice.
var locks atomic.Int64

// Lock is a lock of the test's own. Its member is "me".
func Lock(t testing.TB) lock.Lock {
	t.Helper()
	key := fmt.Sprintf("unit/%s%d/.lock", t.Name(), locks.Add(1))
	return lock.Lock{Client: Consul(t).Client, Key: key, Member: "me"}
}

// Session makes a session that ends with the test.
func Session(t testing.TB, client *api.Client) *lock.Session {
	t.Helper()
	s, err := lock.NewSession(t.Context(), client, lock.SessionOptions{Name: t.Name(), TTL: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // the test's own context has ended by then
		ctx, cancel := context.WithTimeout(context.Background(), pace.CallTimeout)
		defer cancel()
		_ = s.Destroy(ctx) // it may be lost, as many tests want it
	})
	return s
}

// Acquire makes a member hold the lock, with that master published; nil: none.
func Acquire(t testing.TB, l lock.Lock, s *lock.Session, id string, m *cluster.Master) cluster.View {
	t.Helper()
	l.Member = id
	v, err := l.Read(t.Context())
	if err == nil {
		v, err = l.Acquire(t.Context(), s.ID, v, cluster.State{Service: "redis-master", Master: m})
	}
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// Master is a published master, at an address where nothing answers.
func Master(id, runID string, term uint64) *cluster.Master {
	return &cluster.Master{Peer: handlers.Peer{ID: id, RunID: runID, Address: "127.0.0.1:2", Term: term}}
}

// Answering is a Consul that gives one answer.
func Answering(t testing.TB, h http.HandlerFunc) *api.Client {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	client, err := api.NewClient(&api.Config{Address: s.URL, Transport: transport})
	if err != nil {
		t.Fatal(err)
	}
	return client
}
