package httpapi

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"resec/commands/metrics"
	"resec/commands/report"
)

// serve starts a server on a free port, and returns it with its URL.
func serve(t *testing.T, status func(context.Context) (any, error)) (*Server, *Member, string) {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	m := NewMember(metrics.New(), status, log)
	s, err := Listen(t.Context(), "127.0.0.1:0", m.Endpoints, log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s, m, "http://" + s.addr
}

// get returns the status and the body of an answer.
func get(t *testing.T, method, url string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Error(err)
		return 0, ""
	}
	res, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		t.Error(err)
		return 0, ""
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Error(err)
		return 0, ""
	}
	return res.StatusCode, strings.TrimSpace(string(body))
}

func TestServer_Paths(t *testing.T) {
	_, m, url := serve(t, func(context.Context) (any, error) { return map[string]int{"code": 1}, nil })
	code, body := get(t, "GET", url+"/health")
	if code != 503 || body != "the agent is starting" {
		t.Errorf("before SetReporter: %d %s", code, body)
	}
	m.SetReporter(func(_ context.Context, askMaster bool) report.Report {
		return linked(func(r *report.Report) {
			if !askMaster {
				r.Behind = nil
			}
		})
	})
	for _, tt := range []struct {
		method, path string
		code         int
		body         string
	}{
		{"GET", "/health", 200, "replica of a, 100 bytes behind"},
		{"HEAD", "/health", 200, ""},
		{"GET", "/master", 503, "redis is a replica of 10.0.0.1:6379"},
		{"GET", "/replica", 200, "replica of a"},
		{"GET", "/replica?max_lag_bytes=100", 200, "replica of a, 100 bytes behind"},
		{"GET", "/replica?max_lag_bytes=99", 503, "redis is 100 bytes behind the master"},
		{"GET", "/replica?max_lag_bytes=-1", 400, "max_lag_bytes must be a whole number from 0"},
		{"GET", "/replica?max_lag_bytes=", 400, "max_lag_bytes must be a whole number from 0"},
		{"GET", "/status", 200, "{\n  \"code\": 1\n}"},
		{"POST", "/health", 405, "Method Not Allowed"},
		{"DELETE", "/status", 405, "Method Not Allowed"},
		{"GET", "/", 404, "404 page not found"},
		{"GET", "/debug/pprof/", 404, "404 page not found"},
		{"GET", "/health/", 404, "404 page not found"},
	} {
		if code, body := get(t, tt.method, url+tt.path); code != tt.code || body != tt.body {
			t.Errorf("%s %s: %d %q, want %d %q", tt.method, tt.path, code, body, tt.code, tt.body)
		}
	}
	if code, body := get(t, "GET", url+"/metrics"); code != 200 || !strings.Contains(body, "\nresec_replication_behind_bytes 100") {
		t.Errorf("/metrics: %d %s", code, body)
	}
}

func TestServer_StatusWithoutConsul(t *testing.T) {
	_, _, url := serve(t, func(context.Context) (any, error) { return nil, errors.New("token 1234 was refused") })
	if code, body := get(t, "GET", url+"/status"); code != 503 || body != "consul does not answer" {
		t.Errorf("%d %s", code, body)
	}
}

func TestListen_PortInUse(t *testing.T) {
	s, _, _ := serve(t, nil)
	_, err := Listen(t.Context(), s.addr, nil, slog.New(slog.DiscardHandler))
	if want := "listen on LISTEN_ADDR " + s.addr + ": bind: address already in use"; err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}

// Neither a connection without a request nor a report that hangs delays Close for long, and no goroutine is left.
func TestServer_Close(t *testing.T) {
	leaks := goleak.IgnoreCurrent()
	s, m, url := serve(t, nil)
	started := make(chan struct{})
	m.SetReporter(func(ctx context.Context, _ bool) report.Report {
		close(started)
		<-ctx.Done()
		return report.Report{Why: "ended"}
	})
	conn, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	got := make(chan string, 1)
	go func() {
		_, body := get(t, "GET", url+"/health")
		got <- body
	}()
	<-started
	began := time.Now()
	s.Close()
	if d := time.Since(began); d > 2*closeTimeout+time.Second {
		t.Errorf("it took %s", d)
	}
	if body := <-got; body != "ended" {
		t.Error(body)
	}
	if _, err := net.Dial("tcp", s.addr); err == nil {
		t.Error("it still listens")
	}
	s.Close() // again, as a cleanup does
	goleak.VerifyNone(t, leaks)
}
