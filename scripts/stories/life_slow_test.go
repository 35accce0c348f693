package stories_test

import (
	"errors"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync/atomic"
	"testing"
	"time"

	"resec/scripts/lab"
)

// slowConsul passes calls on to Consul at once, and holds the answers back while it is slow.
type slowConsul struct {
	addr string
	slow atomic.Bool
}

// startSlowConsul starts one before the Consul. Each answer is held back for least, and up to a quarter more.
func startSlowConsul(t *testing.T, to string, least time.Duration) *slowConsul {
	t.Helper()
	s := &slowConsul{}
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: to})
	proxy.ErrorHandler = func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) }
	proxy.ModifyResponse = func(r *http.Response) error {
		if s.slow.Load() {
			select {
			case <-r.Request.Context().Done():
			case <-time.After(least + rand.N(least/4)):
			}
		}
		return nil
	}
	l, err := net.Listen("tcp", lab.Host()+":0")
	ok(t, err)
	server := &http.Server{Handler: proxy}
	done := make(chan error, 1)
	go func() { done <- server.Serve(l) }()
	t.Cleanup(func() { _ = server.Close(); <-done })
	s.addr = l.Addr().String()
	return s
}

// Consul carries out every call at once, and its answers come late, for longer than the checks' TTL and the sessions' TTL. Nothing
// moves, and nobody is hidden.
func TestLife06_LateAnswers(t *testing.T) {
	t.Parallel()
	for _, guard := range []string{"GUARD=auto", "GUARD=off"} {
		t.Run(guard, func(t *testing.T) {
			t.Parallel()
			const interval = 3 * time.Second
			c, err := lab.ForTest(t).StartConsul("slow", nil)
			ok(t, err)
			proxy := startSlowConsul(t, c.HTTP(), interval*8/10)
			k := planned(t, lab.Plan{Members: 2, StartParked: true, Consul: c, Env: []string{"CONSUL_HTTP_ADDR=" + proxy.addr,
				"HEALTHCHECK_INTERVAL=" + interval.String(), "CONSUL_LOCK_TTL=9s", guard}})
			m := started(t, k)
			was, err := stateOf(k)
			ok(t, err)
			w := watched(t, k)
			proxy.slow.Store(true)
			throughout(t, 4*interval, seldom(func() error { return k.Settled(0) }))
			proxy.slow.Store(false)
			judgement, now := judged(t, k, w)
			is, err := stateOf(k)
			ok(t, err)
			if now != m || is.Master.Term != was.Master.Term {
				t.Errorf("%s leads in term %d, after %s in term %d", k.Redis[now].Name, is.Master.Term, k.Redis[m].Name, was.Master.Term)
			}
			if len(judgement.None) > 0 {
				t.Errorf("no master was listed: %v", judgement.None)
			}
			ok(t, errors.Join(judgement.Sound(), judgement.OutageWithin(time.Second), unfenced(k), k.Stop()))
		})
	}
}

// The master's Redis dies while all answers come later than a call waits for at first. The agents learn to wait longer: another
// member leads, although Consul stays slow.
func TestLife06_FailoverWithLateAnswers(t *testing.T) {
	t.Parallel()
	c, err := lab.ForTest(t).StartConsul("slow", nil)
	ok(t, err)
	proxy := startSlowConsul(t, c.HTTP(), 4*time.Second)
	k := planned(t, lab.Plan{Members: 3, StartParked: true, Consul: c, Env: []string{"CONSUL_HTTP_ADDR=" + proxy.addr,
		"HEALTHCHECK_INTERVAL=5s", "HEALTHCHECK_TIMEOUT=2s", "CONSUL_LOCK_TTL=15s"}})
	m := started(t, k)
	proxy.slow.Store(true)
	throughout(t, 6*time.Second, seldom(func() error { return k.Settled(0) }))
	k.Redis[m].Kill()
	killed := time.Now()
	lab.Eventually(t, 2*patience, func() error { // a takeover makes a dozen calls, and may be repeated
		addr, err := k.Find(t.Context())
		if err == nil && addr == k.Redis[m].Addr {
			err = errors.New("the dead master is listed")
		}
		return err
	})
	figures(t).within("failover with answers of 4 to 5 s", time.Since(killed), 2*patience)
	proxy.slow.Store(false)
	ok(t, k.Redis[m].Restart())
	whole(t, k)
	ok(t, k.Stop())
}
