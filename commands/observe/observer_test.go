package observe

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"resec/commands/expect"
	"resec/handlers/redis"
)

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
