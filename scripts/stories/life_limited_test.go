package stories_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"resec/scripts/lab"
)

// limiting is the address of a proxy before Consul. It refuses each call, as a limit of the rate does, of which refused says so.
func limiting(t *testing.T, c *lab.Consul, refused func() bool) string {
	t.Helper()
	to, err := url.Parse("http://" + c.HTTP())
	ok(t, err)
	proxy := httputil.NewSingleHostReverseProxy(to)
	proxy.ErrorHandler = func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) }
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if refused() {
			http.Error(w, "rate limit exceeded, try again later", http.StatusTooManyRequests)
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(func() { s.CloseClientConnections(); s.Close() })
	return s.URL
}

// The master's agent is asked to stop while Consul refuses all that it asks for, because of the rate. Once Consul answers again,
// mastership is handed over, and nothing of the agent stays in Consul.
func TestLife17_StopWhileTheRateIsLimited(t *testing.T) {
	t.Parallel()
	for _, lasts := range []time.Duration{500 * time.Millisecond, 1500 * time.Millisecond} {
		t.Run(lasts.String(), func(t *testing.T) {
			t.Parallel()
			var limited atomic.Bool
			k := planned(t, lab.Plan{Members: 2, StartParked: true, Env: []string{"CONSUL_LOCK_TTL=15s", "HEALTHCHECK_INTERVAL=5s"}})
			i, err := k.Add(lab.Member{Env: []string{"CONSUL_HTTP_ADDR=" + limiting(t, k.Consul, limited.Load)}})
			ok(t, err)
			started(t, k)
			if m, err := k.Master(); err != nil || m != i {
				stdout, stderr, code, err := k.Run(0, "", "switchover", "-to", fmt.Sprint("m", i))
				if err != nil || code != 0 {
					t.Fatalf("switchover: exit %d %v: %s%s", code, err, stdout, stderr)
				}
				whole(t, k)
			}
			limited.Store(true)
			k.Agents[i].Signal(syscall.SIGTERM)
			over := time.AfterFunc(lasts, func() { limited.Store(false) })
			defer over.Stop()
			if code, err := k.Agents[i].Wait(t.Context()); err != nil || code != 0 {
				t.Errorf("it exits with %d: %v", code, err)
			}
			ok(t, k.Agents[i].Said("event=handed_over"))
			if e, err := k.Entry(i); err == nil {
				t.Errorf("it is listed still: %+v", e.Service)
			}
			keys, err := k.Keys()
			ok(t, err)
			for _, p := range keys {
				if p.Session != "" && strings.HasSuffix(p.Key, fmt.Sprint("/members/m", i)) {
					t.Errorf("%s is held still, by session %s", p.Key, p.Session)
				}
			}
			lab.Eventually(t, patience, func() error {
				m, err := k.Master()
				return errors.Join(err, k.Redis[i].Follows(k.Redis[m]))
			})
			ok(t, k.Stop())
		})
	}
}
