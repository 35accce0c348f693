package lock

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// sessions answers the calls on sessions: it creates s1, s2, …; lost are those that Consul does not know any more.
type sessions struct {
	mu        sync.Mutex
	created   int
	lost      map[string]bool
	down      bool // Consul does not answer
	destroyed []string
	renewed   int
}

func (s *sessions) answer(call string, _ int) (int, string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	verb, id, _ := strings.Cut(strings.TrimPrefix(call, "PUT session/"), "/")
	switch {
	case s.down:
		return 0, ""
	case verb == "create":
		s.created++
		return http.StatusOK, fmt.Sprintf(`{"ID":"s%d"}`, s.created)
	case verb == "destroy":
		s.destroyed = append(s.destroyed, id)
		return http.StatusOK, "true"
	case s.lost[id]:
		return http.StatusNotFound, ""
	}
	s.renewed++
	return http.StatusOK, fmt.Sprintf(`[{"ID":%q}]`, id)
}

// lose makes Consul forget a session.
func (s *sessions) lose(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lost[id] = true
}

// setDown begins or ends an outage.
func (s *sessions) setDown(down bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down = down
}

// A session is renewed each third of its TTL, each second after a failure, and its lease counts from the renewal.
func TestSession_Keep(t *testing.T) {
	const ttl = 15 * time.Second
	s := &sessions{lost: map[string]bool{}}
	l, c := fake(t, s.answer)
	synctest.Test(t, func(t *testing.T) {
		session, err := NewSession(t.Context(), l.Client, SessionOptions{Name: "test", TTL: ttl})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- session.Keep(ctx, nil, nil, slog.New(slog.DiscardHandler)) }()
		calls := func(after time.Duration, want int, left time.Duration) {
			t.Helper()
			wait(after)
			synctest.Wait()
			if n := c.count() - 1; n != want || session.Lease.Left(time.Now()) != left {
				t.Errorf("%d calls and %s left, want %d and %s", n, session.Lease.Left(time.Now()), want, left)
			}
		}
		calls(4*time.Second, 0, 11*time.Second)
		calls(time.Second, 1, ttl)
		calls(5*time.Second, 2, ttl)
		s.setDown(true)
		calls(5*time.Second, 3, 10*time.Second)
		calls(3*time.Second, 6, 7*time.Second)
		s.setDown(false)
		calls(time.Second, 7, ttl)
		calls(4*time.Second, 7, 11*time.Second)
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	if a := Adopt(l.Client, "s9", SessionOptions{TTL: ttl}); a.Lease.Left(time.Now()) != 0 {
		t.Error("the lease of an adopted session has begun")
	}
	check := &RenewalDeadline{}
	if a := Adopt(l.Client, "s9", SessionOptions{TTL: ttl, CheckDeadline: check}); len(a.Lease) != 2 {
		t.Errorf("a session with a check has %d deadlines", len(a.Lease))
	}
}

// A session depends on its TTL and on the check that is named, never on the node's own check, and releases the lock after 1 ms.
func TestNewSession(t *testing.T) {
	for _, tt := range []struct {
		opt  SessionOptions
		want string
	}{
		{SessionOptions{Name: "n", TTL: 15 * time.Second},
			`{"Name":"n","TTL":"15s","Behavior":"release","LockDelay":"1ms","NodeChecks":[]}`},
		{SessionOptions{Name: "n", TTL: 15 * time.Second, Check: "service:a"},
			`{"Name":"n","TTL":"15s","Behavior":"release","LockDelay":"1ms","NodeChecks":[],"ServiceChecks":[{"ID":"service:a"}]}`},
	} {
		l, c := fake(t, scripted(`{"ID":"s1"}`))
		s, err := NewSession(t.Context(), l.Client, tt.opt)
		if err != nil || s.ID != "s1" || c.body != tt.want {
			t.Errorf("%+v %v, sent %s, want %s", s, err, c.body, tt.want)
		}
	}
	l, _ := fake(t, scripted(500))
	if _, err := NewSession(t.Context(), l.Client, SessionOptions{Name: "n"}); err == nil {
		t.Error("a session that consul did not create")
	}
}
