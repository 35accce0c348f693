package elect

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/consul/api"

	"resec/commands/expect"
	"resec/commands/lock"
	"resec/commands/takeover"
)

// freezingConsul grants a session and the lock "k", shows the watch another holder, and then answers nothing until it is thawed.
type freezingConsul struct {
	*httptest.Server
	acquired chan struct{} // closed by the acquisition
	thawed   chan struct{}
}

func freezing(t *testing.T) *freezingConsul {
	c := &freezingConsul{acquired: make(chan struct{}), thawed: make(chan struct{})}
	c.Server = httptest.NewServer(http.HandlerFunc(c.serve))
	t.Cleanup(c.Close)
	return c
}

func (c *freezingConsul) serve(w http.ResponseWriter, r *http.Request) {
	held := false
	select {
	case <-c.acquired:
		held = true
	default:
	}
	switch {
	case held:
		c.hang(w, r)
	case r.URL.Path == "/v1/session/create":
		_, _ = fmt.Fprint(w, `{"ID":"s1"}`)
	case r.URL.Path == "/v1/txn":
		_, _ = fmt.Fprint(w, `{"Results":[{"KV":{"Key":"k","ModifyIndex":10}},{"KV":{"Key":"k/state","ModifyIndex":10}}]}`)
		close(c.acquired)
	case r.URL.Query().Get("index") == "5":
		select {
		case <-c.acquired:
		case <-r.Context().Done():
			return
		}
		w.Header().Set("X-Consul-Index", "20")
		_, _ = fmt.Fprintf(w, `[{"Key":"k","Session":"s2","Value":"Yg==","Flags":%d,"ModifyIndex":20}]`, lock.Flag)
	case strings.HasPrefix(r.URL.Path, "/v1/kv/k"):
		w.Header().Set("X-Consul-Index", "5")
		http.Error(w, "", http.StatusNotFound)
	default:
		c.hang(w, r)
	}
}

func (c *freezingConsul) hang(w http.ResponseWriter, r *http.Request) {
	select {
	case <-c.thawed:
	case <-r.Context().Done():
	}
	http.Error(w, "no leader", http.StatusInternalServerError)
}

// waiting is a child that runs until its context ends, and notes when that was.
type waiting struct {
	ended chan time.Time
	cause error
}

func (h *waiting) Handle(ctx context.Context, _ []byte, _ ...string) error {
	<-ctx.Done()
	h.cause = context.Cause(ctx)
	h.ended <- time.Now()
	return ctx.Err()
}

// The lease's end is seen in time, although Consul has shown another holder and does not answer the read that shall confirm it.
func TestElection_LeaseEndsInTimeWhileConsulIsFrozen(t *testing.T) {
	const ttl = time.Second
	c := freezing(t)
	client, err := api.NewClient(&api.Config{Address: c.URL})
	expect.OK(t, err)
	h := &waiting{ended: make(chan time.Time, 1)}
	e := &Election{Lock: lock.Lock{Client: client, Key: "k", Member: "a"}, Session: lock.SessionOptions{Name: "test", TTL: ttl},
		Handler: h, Child: true, Log: slog.New(slog.DiscardHandler)}
	began := time.Now()
	done := make(chan error, 1)
	go func() { done <- e.Run(t.Context()) }()
	if took := (<-h.ended).Sub(began); took > ttl+ttl/2 {
		t.Errorf("the lease of %s was over for the holder after %s", ttl, took)
	}
	close(c.thawed)
	if err := <-done; !errors.Is(err, takeover.ErrLost) || !errors.Is(err, lock.ErrLease) {
		t.Errorf("Run returned %v (the handler was ended by %v)", err, h.cause)
	}
}

// The end of a term has what was left of the lease as it began, although the session is renewed until the lock is released.
func TestElection_LeaseAtTheEndOfATerm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var deadline lock.RenewalDeadline
		e := &Election{}
		if got := e.Lease(); got != 0 {
			t.Errorf("without the lock the lease is %s", got)
		}
		e.lease.Store(&lock.Lease{&deadline})
		deadline.Extend(time.Now(), 10*time.Second)
		end := time.Now().Add(e.Lease())
		e.endBy.Store(&end)
		<-time.After(4 * time.Second)
		deadline.Extend(time.Now(), 10*time.Second)
		if got := e.Lease(); got != 6*time.Second {
			t.Errorf("renewed meanwhile the lease is %s", got)
		}
		<-time.After(7 * time.Second)
		if got := e.Lease(); got != 0 {
			t.Errorf("after its end the lease is %s", got)
		}
	})
}
