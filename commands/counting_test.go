package commands

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
)

// Each failed call to Consul is counted once.
func TestCounting(t *testing.T) {
	consul := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		code, err := strconv.Atoi(r.URL.Path[1:])
		if err != nil { // close the connection
			panic(http.ErrAbortHandler)
		}
		w.WriteHeader(code)
	}))
	defer consul.Close()
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for _, tt := range []struct {
		name, path string
		ctx        context.Context
		want       int
	}{
		{"success", "/200", t.Context(), 0},
		{"no such key", "/404", t.Context(), 0},
		{"a transaction that was rolled back", "/409", t.Context(), 0},
		{"permission denied", "/403", t.Context(), 1},
		{"too many requests", "/429", t.Context(), 1},
		{"no leader", "/500", t.Context(), 1},
		{"a connection that is closed", "/hang", t.Context(), 1},
		{"a cancelled call", "/200", ended, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n := 0
			client := http.Client{Transport: countingTransport{&http.Transport{}, func() { n++ }}}
			defer client.CloseIdleConnections()
			req, err := http.NewRequestWithContext(tt.ctx, "GET", consul.URL+tt.path, nil)
			if err != nil {
				t.Fatal(err)
			}
			if res, err := client.Do(req); err == nil {
				res.Body.Close()
			}
			if n != tt.want {
				t.Errorf("counted %d, want %d", n, tt.want)
			}
		})
	}
}
