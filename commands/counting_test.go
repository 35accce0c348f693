package commands

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
)

func TestCounting(t *testing.T) {
	consul := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		code, err := strconv.Atoi(r.URL.Path[1:])
		if err != nil { // it hangs up
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
		{"an answer", "/200", t.Context(), 0},
		{"there is none", "/404", t.Context(), 0},
		{"a transaction that came too late", "/409", t.Context(), 0},
		{"not allowed", "/403", t.Context(), 1},
		{"too many", "/429", t.Context(), 1},
		{"no leader", "/500", t.Context(), 1},
		{"a connection that ends", "/hang", t.Context(), 1},
		{"a call that we gave up", "/200", ended, 0},
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
