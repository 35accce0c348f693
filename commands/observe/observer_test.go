package observe

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/consul/api"

	"resec/commands/cluster"
	"resec/commands/expect"
	"resec/commands/lock"
	"resec/commands/observable"
	"resec/handlers/redis"
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

// A view is taken if it is newer than the known one; our own write also if it is that one.
func TestObserver_TakeAndWrote(t *testing.T) {
	o := newObserving(t, http.NotFound)
	for _, tt := range []struct {
		take func() bool
		want bool
	}{
		{func() bool { return o.Take(view(5, "s")) }, true},
		{func() bool { return o.Take(view(4, "s")) }, false},
		{func() bool { o.Wrote(view(5, "s")); return true }, true},
		{func() bool { o.Wrote(view(6, "s")); return true }, true},
	} {
		if got := tt.take(); got != tt.want {
			t.Errorf("taken is %t, want %t", got, tt.want)
		}
	}
	if d := cmp.Diff([]string{"0→5", "5→6"}, o.turns); d != "" {
		t.Error(d)
	}
}

// serve answers a read of the lock.
func serve(w http.ResponseWriter, index uint64, session string) {
	w.Header().Set("X-Consul-Index", fmt.Sprint(index))
	w.Header().Set("X-Consul-LastContact", "0")
	_, _ = fmt.Fprintf(w, `[{"Key":"k","Session":%q,"Value":"YQ==","Flags":%d,"ModifyIndex":%d}]`, session, lock.Flag, index)
}

// A consistent read with a lower index is taken, unless something else was taken since it began: Consul has lost data then.
func TestObserver_Read(t *testing.T) {
	var during func()
	o := newObserving(t, func(w http.ResponseWriter, _ *http.Request) {
		if during != nil {
			during()
		}
		serve(w, 3, "restored")
	})
	o.Take(view(10, "s"))
	if v, err := o.Read(t.Context()); err != nil || v.Session != "restored" || o.known.Load().View.Session != "restored" {
		t.Errorf("%+v %v, known is %+v", v, err, o.known.Load())
	}
	during = func() { o.Wrote(view(4, "written")) }
	if v, err := o.Read(t.Context()); err != nil || v.Session != "restored" || o.known.Load().View.Session != "written" {
		t.Errorf("%+v %v, known is %+v", v, err, o.known.Load())
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := o.Read(ended); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
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

// The index falls while no call fails: a consistent read decides, and a Consul that does not answer it is down meanwhile.
func TestObserver_FallingIndex(t *testing.T) {
	refuse := make(chan bool, 1)
	refuse <- true
	c := &watching{answers: []func(http.ResponseWriter){
		func(w http.ResponseWriter) { serve(w, 10, "s") },
		func(w http.ResponseWriter) { serve(w, 4, "late") },
	}, read: func(w http.ResponseWriter) {
		select {
		case <-refuse:
			http.Error(w, "no leader", http.StatusInternalServerError)
		default:
			serve(w, 5, "restored")
		}
	}}
	o := newObserving(t, c.ServeHTTP)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- o.Run(ctx) }()
	o.until(t, "the first view", func(k Snapshot) bool { return k.View.Session == "s" && k.Fresh && !k.ConsulDown })
	o.until(t, "the outage", func(k Snapshot) bool { return k.ConsulDown })
	o.until(t, "what the read shows", func(k Snapshot) bool {
		return k.View.Session == "restored" && k.Fresh && !k.ConsulDown && !k.ConsulUpSince.IsZero()
	})
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if d := cmp.Diff([]string{"0→10", "10→5"}, o.turns); d != "" {
		t.Error(d)
	}
}

// After an outage the view is not fresh until the next answer, which may have any index.
func TestObserver_Outage(t *testing.T) {
	back := make(chan struct{})
	c := &watching{answers: []func(http.ResponseWriter){
		func(w http.ResponseWriter) { serve(w, 10, "s") },
		func(w http.ResponseWriter) { http.Error(w, "no leader", http.StatusInternalServerError) },
		func(w http.ResponseWriter) { <-back; serve(w, 2, "restored") },
	}}
	o := newObserving(t, c.ServeHTTP)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- o.Run(ctx) }()
	o.until(t, "the outage, with the view from before",
		func(k Snapshot) bool { return k.ConsulDown && k.Fresh && k.View.Session == "s" })
	close(back)
	o.until(t, "the view after it", func(k Snapshot) bool {
		return !k.ConsulDown && k.Fresh && k.View.Session == "restored" && !k.ConsulUpSince.IsZero()
	})
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	for _, v := range []bool{true, false} {
		o.setOutage(v)
		if k := o.known.Load(); k.ConsulDown != v || k.Fresh != v {
			t.Errorf("down=%t: %+v", v, k)
		}
	}
}

func TestObserver_LogsHealth(t *testing.T) {
	server, err := redis.Open(t.Context(), redis.Options{Addr: "127.0.0.1:1", Timeout: 100 * time.Millisecond})
	expect.OK(t, err)
	defer server.Close()
	o := newObserving(t, http.NotFound)
	o.Redis = server
	for _, h := range []redis.Health{{AccessErr: errors.New("WRONGPASS")}, {Err: errors.New("connection refused")},
		{Status: redis.Status{RunID: "r"}}} {
		o.logHealth(h)
	}
	for _, want := range []string{`event=redis_access_denied redis=127.0.0.1:1 err=WRONGPASS`,
		`event=redis_unhealthy redis=127.0.0.1:1`, `event=redis_healthy redis=127.0.0.1:1 version="" run_id=r`} {
		if !strings.Contains(o.log.String(), want) {
			t.Errorf("no %s in\n%s", want, o.log.String())
		}
	}
}

// The health of a Redis that is down is logged once, however often it is probed.
func TestObserver_WatchesRedis(t *testing.T) {
	server, err := redis.Open(t.Context(), redis.Options{Addr: "127.0.0.1:1", Timeout: 100 * time.Millisecond})
	expect.OK(t, err)
	defer server.Close()
	c := &watching{}
	o := newObserving(t, c.ServeHTTP)
	now := make(chan struct{})
	o.Redis, o.Probe, o.ProbeNow = server, redis.Probe{Every: time.Hour, Timeout: 100 * time.Millisecond, Failures: 1}, now
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- o.Run(ctx) }()
	o.until(t, "the probe", func(k Snapshot) bool { return k.Probed && k.Health.Err != nil })
	now <- struct{}{}
	now <- struct{}{}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if n := strings.Count(o.log.String(), "redis_unhealthy"); n != 1 {
		t.Errorf("logged %d times:\n%s", n, o.log.String())
	}
}
