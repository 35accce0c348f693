package observe

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"

	"resec/commands/cluster"
	"resec/commands/expect"
	"resec/commands/lock"
	"resec/commands/observable"
)

// observing is an observer of a snapshot that the test can read, and the views that replaced another.
type observing struct {
	*Observer
	known *observable.Value[Snapshot]
	turns []string
	log   bytes.Buffer
}

func newObserving(t *testing.T, consul http.HandlerFunc) *observing {
	t.Helper()
	s := httptest.NewServer(consul)
	t.Cleanup(s.Close)
	client, err := api.NewClient(&api.Config{Address: s.URL})
	expect.OK(t, err)
	o := &observing{known: observable.New[Snapshot]()}
	o.Observer = &Observer{Lock: lock.Lock{Client: client, Key: "k"}, Log: slog.New(slog.NewTextHandler(&o.log, nil)),
		Update: func(change func(*Snapshot)) {
			o.known.Update(func(s *Snapshot) {
				old := s.View.Index
				if change(s); s.View.Index != old {
					o.turns = append(o.turns, fmt.Sprintf("%d→%d", old, s.View.Index))
				}
			})
		}}
	return o
}

// view is a view that is held by a session.
func view(index uint64, session string) cluster.View {
	return cluster.View{Index: index, LockIndex: index, Session: session}
}

// serve answers a read of the lock.
func serve(w http.ResponseWriter, index uint64, session string) {
	w.Header().Set("X-Consul-Index", fmt.Sprint(index))
	w.Header().Set("X-Consul-LastContact", "0")
	_, _ = fmt.Fprintf(w, `[{"Key":"k","Session":%q,"Value":"YQ==","Flags":%d,"ModifyIndex":%d}]`, session, lock.Flag, index)
}

// watching are the answers of a Consul to the watch; each query takes the next one, and then they block.
type watching struct {
	mu      sync.Mutex
	answers []func(w http.ResponseWriter)
	read    func(w http.ResponseWriter) // a consistent read
}

func (c *watching) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Query().Has("consistent") {
		c.read(w)
		return
	}
	c.mu.Lock()
	var next func(w http.ResponseWriter)
	if len(c.answers) > 0 {
		next, c.answers = c.answers[0], c.answers[1:]
	}
	c.mu.Unlock()
	if next == nil {
		<-r.Context().Done()
		return
	}
	next(w)
}

// until waits until the snapshot is as wanted.
func (o *observing) until(t *testing.T, what string, is func(Snapshot) bool) {
	t.Helper()
	timeout := time.After(10 * time.Second)
	for {
		k, changed := o.known.Watch()
		if is(k) {
			return
		}
		select {
		case <-changed:
		case <-timeout:
			t.Fatalf("not seen: %s, but %+v", what, k)
		}
	}
}
